"""What :mod:`mutants` breaks: one place in one file each, for every shortcut, every fact and every step of the walk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True)
class Mutant:
    """One break; ``equivalent`` says why it changes no result, if that is so."""

    name: str
    file: str
    old: str
    new: str
    equivalent: str = ""

    def applied(self, text: str) -> str:
        """The file's text with the break in it.

        Raises:
            ValueError: what is to be broken does not stand there exactly once.
        """
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"mutant {self.name}: {self.old!r} stands {count} times in {self.file}, not once")
        return text.replace(self.old, self.new)


def within(file: str, place: str, name: str, old: str, new: str, equivalent: str = "") -> Mutant:
    """A break behind a unique place: ``old`` is the first such text after it."""
    return Mutant(name, file, place + old, place + new, equivalent)


LINEAR, SHORTCUTS, SIGNS = (f"onnx_lrp/propagation/{name}.py" for name in ("linear", "shortcuts", "both_signs"))
FACTS, PLAN, FUSION = (f"onnx_lrp/propagation/{name}.py" for name in ("facts", "plan", "fusion"))
WALK, AUDIT, FAST = (f"onnx_lrp/propagation/{name}.py" for name in ("walk", "audit", "fast"))
ROLES, RULES, SELECTORS = "onnx_lrp/ops/roles.py", "onnx_lrp/rules/parts.py", "onnx_lrp/composites/selectors.py"
HELD = {name: f"onnx_lrp/{name}.py" for name in (
    "ops/attention", "ops/norms", "model/canonizers/holding", "conversion/vectors", "conversion/convert"
)}  # fmt: skip
MERGING, BOUNDS, ASSIGNMENT = (f"onnx_lrp/propagation/{name}.py" for name in ("merging", "bounds", "assignment"))
LAYERS, CONTRASTS = "onnx_lrp/composites/layers.py", "onnx_lrp/targets/contrasts.py"
AUDITING, ACTIVATIONS = "onnx_lrp/engines/auditing.py", "onnx_lrp/conversion/activations.py"

formula = partial(Mutant, file=LINEAR)
shortcut = partial(Mutant, file=SHORTCUTS)
signs = partial(Mutant, file=SIGNS)
fact = partial(Mutant, file=FACTS)
fusion = partial(Mutant, file=FUSION)
walk = partial(Mutant, file=WALK)
audit = partial(Mutant, file=AUDIT)
role = partial(Mutant, file=ROLES)
rule = partial(Mutant, file=RULES)

PARTS = "def applies(self, at: FastRelevance, parts: Sequence[Part]) -> bool:  # noqa: D102\n        return "
PART = "def applies(self, at: FastRelevance, part: Part) -> bool:  # noqa: D102\n        return "

MUTANTS: tuple[Mutant, ...] = (
    # the formula
    formula("formula-gate-takes-zero", old="z > 0 if part.gate", new="z >= 0 if part.gate"),
    formula("formula-gate-flipped", old='part.gate == "positive"', new='part.gate == "negative"'),
    formula("formula-no-gate", old='if part.gate == "all":', new="if True:"),
    formula("formula-no-scale", old="s = part.scale * quotient", new="s = quotient"),
    formula("formula-bias-always", old=' or self.rule.bias == "ignore"', new=""),
    formula("formula-bias-never", old="without = part.bias is None", new="without = True"),
    formula("formula-no-stabilizer", old="return r / xp.stabilize(z, epsilon)", new="return r / z"),
    formula(
        "formula-one-term", old="for t, c_j in zip(part.terms, c)]", new="for t, c_j in list(zip(part.terms, c))[:1]]"
    ),
    # shortcuts of all parts
    shortcut("vanishing-terms-unclaimed", old=PARTS + "at.claims.nonnegative\n", new=PARTS + "True\n"),
    shortcut("vanishing-terms-other-sign", old="if t.input != neg)", new="if t.input != pos)"),
    shortcut(
        "closed-gates-unmasked", old=PARTS + "at.claims.masked and at.keeps_bias\n", new=PARTS + "at.keeps_bias\n"
    ),
    shortcut(
        "closed-gates-other-bias", old=PARTS + "at.claims.masked and at.keeps_bias\n", new=PARTS + "at.claims.masked\n"
    ),
    shortcut("closed-gates-other-gate", old='if part.gate != "negative")', new='if part.gate != "positive")'),
    shortcut(
        "own-denominator-other-bias",
        old="not None and at.keeps_bias and len(parts) == 1",
        new="not None and len(parts) == 1",
    ),
    shortcut("own-denominator-any-part", old="len(parts) == 1 and parts[0].is_model", new="len(parts) == 1"),
    shortcut("own-denominator-first-part", old="len(parts) == 1 and parts[0].is_model", new="parts[0].is_model"),
    shortcut(
        "own-denominator-forgets-multiplier",
        old="at.epsilon, at.over, at.claims.masked)",
        new="at.number, False, at.claims.masked)",
    ),
    shortcut(
        "own-denominator-always-multiplier",
        old="at.epsilon, at.over, at.claims.masked)",
        new="at.number, True, at.claims.masked)",
    ),
    shortcut(
        "divide-by-output-always-masked", old="at.epsilon, at.over, at.claims.masked)", new="at.epsilon, at.over, True)"
    ),
    shortcut("divide-by-output-no-ratio", old="return r * xp.stabilized_ratio(z, epsilon, masked)", new="return r"),
    shortcut("divide-by-output-no-epsilon", old="return r / (z + epsilon) if masked", new="return r / z if masked"),
    # shortcuts of the gate
    shortcut(
        "open-gate-unmasked",
        old='at.claims.masked and at.keeps_bias and part.gate == "positive"',
        new='at.keeps_bias and part.gate == "positive"',
    ),
    shortcut(
        "open-gate-other-bias",
        old='at.claims.masked and at.keeps_bias and part.gate == "positive"',
        new='at.claims.masked and part.gate == "positive"',
    ),
    shortcut(
        "open-gate-any-gate",
        old='at.claims.masked and at.keeps_bias and part.gate == "positive"',
        new="at.claims.masked and at.keeps_bias",
    ),
    shortcut("open-gate-forgets-multiplier", old="return at.relevance_of(r)", new="return r"),
    shortcut(
        "gate-by-output-other-bias",
        old='not at.claims.masked and at.keeps_bias and part.gate != "all"',
        new='not at.claims.masked and part.gate != "all"',
    ),
    shortcut(
        "gate-by-output-flipped",
        old="xp.maximum(z, 0.0) if positive else",
        new="xp.maximum(z, 0.0) if not positive else",
    ),
    shortcut("gate-by-output-takes-zero", old="xp.where(z > 0 if positive", new="xp.where(z >= 0 if positive"),
    # shortcuts of the sum
    shortcut("output-and-fixed-with-bias", old="is not None and at.layer.b is None", new="is not None"),
    shortcut(
        "output-and-fixed-any-term",
        old="== Term(identity, identity) and all(term.fixed for term in others)",
        new="== Term(identity, identity)",
    ),
    shortcut("output-and-fixed-any-first", old="at_hand and first == Term(identity, identity) and", new="at_hand and"),
    shortcut(
        "output-and-fixed-drops-fixed",
        old="return z + at.sum(replace(part, terms=part.terms[1:])) if part.terms[1:] else z",
        new="return z",
    ),
    within(
        SHORTCUTS,
        'class BoxSum(Shortcut):\n    """All weights 1: a box filter."""\n\n    stage = "sum"\n\n    ',
        "box-sum-any-weight",
        PART + "[term.weight for term in part.terms] == [ones]",
        PART + "len(part.terms) == 1",
    ),
    shortcut("box-sum-plain", old="return at.layer.map.forward_ones(at.xp,", new="return at.layer.map.forward(at.xp,"),
    shortcut("one-sample-of-any-map", old="return at.layer.map.batchwise and any(", new="return any("),
    shortcut(
        "one-sample-of-any-term", old="one = term.fixed and at.layer.map.batchwise", new="one = at.layer.map.batchwise"
    ),
    shortcut("one-sample-of-a-mixing-map", old="one = term.fixed and at.layer.map.batchwise", new="one = term.fixed"),
    shortcut(
        "one-sample-forgets-weights",
        old="at.weights.under(at.xp, t.weight)) for t in part.terms]\n        return total",
        new="at.layer.w) for t in part.terms]\n        return total",
    ),
    shortcut(
        "stacked-sum-one-weight",
        old="forward_sum(at.xp, inputs, [at.weights.under(at.xp, t.weight) for t in part.terms])",
        new="forward_sum(at.xp, inputs, [at.weights.under(at.xp, part.terms[0].weight) for t in part.terms])",
    ),
    # shortcuts of the quotient
    shortcut(
        "known-sign-unknown",
        old="return bool(at.number and part.sign(at.claims.nonnegative))",
        new="return bool(at.number)",
    ),
    shortcut(
        "known-sign-always-nonnegative",
        old="return bool(at.number and part.sign(at.claims.nonnegative))",
        new="return bool(at.number and part.sign(True))",
    ),
    shortcut(
        "known-sign-other-stabilizer",
        old="d = at.forward(part, sign * at.number)",
        new="d = at.forward(part, at.number)",
    ),
    shortcut(
        "known-sign-unserved-near-zero",
        old="d = at.xp.maximum(d, at.number) if sign > 0 else",
        new="d = d if sign > 0 else",
    ),
    # shortcuts of the transpose
    shortcut(
        "box-transpose-no-scale", old="transpose_ones(at.xp, times(part.scale, s),", new="transpose_ones(at.xp, s,"
    ),
    within(
        SHORTCUTS,
        'class BoxTranspose(Shortcut):\n    """All weights 1: a box filter."""\n\n    stage = "transpose"\n\n    ',
        "box-transpose-any-weight",
        PART + "[term.weight for term in part.terms] == [ones]",
        PART + "len(part.terms) == 1",
    ),
    shortcut("two-transposes-swapped", old="for modifier in (pos, neg)]", new="for modifier in (neg, pos)]"),
    shortcut(
        "two-transposes-no-scale",
        old="transpose_each(at.xp, times(part.scale, s), weights,",
        new="transpose_each(at.xp, s, weights,",
    ),
    shortcut(
        "two-transposes-of-one",
        old="((modifier.positive, up), (modifier.negative, down)) if f]",
        new="((modifier.positive, up),) if f]",
    ),
    shortcut("stacked-transposes-no-scale", old="[term.weight.scaled(part.scale) for", new="[term.weight for"),
    # both signs in one pass
    signs(
        "one-pass-signed-input",
        old="fits = at.claims.nonnegative and not at.claims.masked",
        new="fits = not at.claims.masked",
    ),
    signs(
        "one-pass-masked",
        old="fits = at.claims.nonnegative and not at.claims.masked",
        new="fits = at.claims.nonnegative",
    ),
    signs("one-pass-other-bias", old='fits and at.layer.rule.bias == "absorb" and at.number', new="fits and at.number"),
    signs("one-pass-no-stabilizer", old='== "absorb" and at.number and self.gain', new='== "absorb" and self.gain'),
    signs("one-pass-ungated", old='part.gate == "all" or not part.sign', new="not part.sign"),
    signs("one-pass-of-any-gain", old="return gains.pop() if len(gains) == 1 else 0.0", new="return gains.pop()"),
    signs("one-pass-no-sign", old="flipped = replace(part, scale=part.scale * sign)", new="flipped = part"),
    signs(
        "one-pass-near-zero",
        old="size = at.xp.maximum(_sum(base, sign * slopes.negative, z), at.number)",
        new="size = _sum(base, sign * slopes.negative, z)",
    ),
    signs("one-quotient-without-multiplier", old="return at.over and gates and", new="return gates and"),
    signs("one-quotient-any-gates", old="return at.over and gates and", new="return at.over and len(parts) == 2 and"),
    signs(
        "one-quotient-cancelling",
        old="super().applies(at, parts) and self._is_harmless(parts)",
        new="super().applies(at, parts)",
    ),
    signs(
        "one-quotient-swapped",
        old="((difference, above * q), (below, z * q))",
        new="((below, above * q), (difference, z * q))",
    ),
    signs(
        "one-quotient-no-epsilon",
        old="(_signed_part(positive, negative), at.number / k)",
        new="(_signed_part(positive, negative))",
    ),
    # facts
    fact("nonnegative-constant-any", old="bool((data >= 0).all())", new="bool((data >= 0).any())"),
    fact(
        "nonnegative-unknown",
        old="    if value in found:\n        return True\n    data",
        new="    if value in found:\n        return True\n    return True\n    data",
    ),
    fact("vanishes-under-any-rule", old="return rule is not None and rule.vanishes_at_zero", new="return True"),
    fact(
        "vanishes-through-any-activation",
        old="role.copies if isinstance(role, Route) else isinstance(role, Activation) and role.through_zero",
        new="True",
    ),
    fact("vanishes-without-arriving", old="return arriving and copies", new="return copies"),
    fact("masked-whatever-arrives", old="all(arrives.get(value, True) for value in rectified)", new="True"),
    fact("masked-seed-is-logit", old="{target: False})  # a seed", new="{target: True})  # a seed"),
    fact("masked-target", old="            and output is not target\n", new=""),
    fact("masked-graph-output", old=" and not value.is_graph_output()", new=""),
    fact(
        "masked-other-readers",
        old="all(node in roles and roles[node].rectifies for node in users)",
        new="any(node in roles and roles[node].rectifies for node in users)",
    ),
    fact(
        "masked-any-activation",
        old="node in roles and roles[node].rectifies",
        new="node in roles and not roles[node].ruled",
    ),
    fact("difference-of-any-merge", old=" or not role.is_sum_of_two:", new=":"),
    fact(
        "difference-with-readers",
        old="isinstance(roles.get(maker), Linear) or len(value.uses()) != 1:",
        new="isinstance(roles.get(maker), Linear):",
    ),
    fact("difference-other-bias", old='rule.bias != "absorb" or rule.epsilon == 0', new="rule.epsilon == 0"),
    fact("difference-no-stabilizer", old='rule.bias != "absorb" or rule.epsilon == 0', new='rule.bias != "absorb"'),
    fact("difference-broadcast", old=" or value.shape != other.shape:", new=":"),
    fact(
        "difference-of-any-rule",
        old="return all(part.is_model or part.sign() for part in rule.parts())",
        new="return True",
    ),
    role("route-forgets-constants", old="return (*self.data, *self.moves)", new="return self.data"),
    role(
        "merge-of-any-signs",
        old="min(self.signs) * self.scale > 0 and all(map(known, self.values))",
        new="all(map(known, self.values))",
    ),
    role(
        "merge-forgets-constants",
        old="min(self.signs) * self.scale > 0 and all(map(known, self.values))",
        new="min(self.signs) * self.scale > 0 and all(map(known, self.data))",
    ),
    role("linear-of-any-weight", old="return self.nonnegative and known(self.data)", new="return known(self.data)"),
    role("activation-of-any-sign", old="(self.keeps_sign and bool(self.receives)", new="(bool(self.receives)"),
    Mutant(
        "claims-of-some-inputs",
        PLAN,
        "nonnegative=shares and all(",
        "nonnegative=shares and any(",
        "a layer with facts has one input that receives relevance",
    ),
    # what facts rest on
    rule("sign-of-any-slopes", old="if large > small >= 0 else 0", new="if large > small else 0"),
    rule("sign-of-equal-slopes", old="if large > small >= 0 else 0", new="if large >= small >= 0 else 0"),
    rule(
        "sign-forgets-bias",
        old="        signs |= {SIGNS.get(self.bias, 0)} if self.bias is not None else set()\n",
        new="",
    ),
    rule(
        "slopes-forget-bias",
        old="and len(self.terms) == len(found) and self.bias == slopes else None",
        new="and len(self.terms) == len(found) else None",
    ),
    rule(
        "slopes-of-any-negative",
        old="if not isinstance(slopes, Signed) or found[neg] != Signed(slopes.negative, slopes.positive):",
        new="if not isinstance(slopes, Signed):",
    ),
    rule(
        "model-whatever-scale",
        old="return self == OUTPUT",
        new="return self.terms == OUTPUT.terms and self.bias == OUTPUT.bias",
    ),
    Mutant("first-by-order", SELECTORS, "not orders & layer.before", "not orders % (1 << layer.order)"),
    Mutant("last-by-order", SELECTORS, "not followed >> layer.order & 1", "orders.bit_length() == layer.order + 1"),
    # two steps that are one layer
    fusion("fused-with-readers", old="product is not target and len(product.uses()) == 1", new="product is not target"),
    fusion("fused-target", old="product is not None and product is not target and", new="product is not None and"),
    fusion("fused-whatever-sign", old="sign = merge.signs[position] * merge.scale", new="sign = 1.0"),
    fusion(
        "fused-negative-product",
        old="    if merge.signs[1 - position] * merge.scale != 1:\n        return None\n",
        new="",
    ),
    fusion(
        "fused-larger-constant", old="all(n in (1, d) for n, d in zip(constant.shape[::-1], sizes[::-1]))", new="True"
    ),
    # the walk
    walk(
        "route-of-any-multiplier",
        old="isinstance(r, Multiplier) and r.base == name) for r, name",
        new="isinstance(r, Multiplier)) for r, name",
    ),
    walk(
        "sum-of-any-multipliers",
        old="isinstance(b, Multiplier) and a.base == b.base:",
        new="isinstance(b, Multiplier):",
    ),
    walk("merge-keeps-bias", old='    if step.rule.bias == "ignore" and role.bias:\n', new="    if False:\n"),
    walk(
        "merge-keeps-bias-in-formula",
        old='role.data if step.rule.bias == "ignore" else sorted(role.values)',
        new="sorted(role.values)",
    ),
    walk("layer-of-any-multiplier", old="r.base == step.denominator and z is not None", new="z is not None"),
    walk(
        "merge-of-any-multiplier",
        old="isinstance(r, Multiplier) and r.base == step.denominator\n        arrived",
        new="isinstance(r, Multiplier)\n        arrived",
    ),
    walk(
        "pass-of-any-shape",
        old="sum_to(xp, plain(arriving[0], operands.tape), operands.shape(i))",
        new="plain(arriving[0], operands.tape)",
    ),
    Mutant("kept-sum-of-no-bias", FAST, "return z + (bias + plus if plus else bias)", "return z + bias"),
    # the audit
    audit("audit-no-sign", old="    if least < 0:\n", new="    if False:\n"),
    audit("audit-no-difference", old="    if gap > TOLERANCE * scale:\n", new="    if False:\n"),
    audit("audit-no-mask", old="(np.abs(r) * (a <= 0)).max(initial=0.0) > 0:", new="False:"),
    audit(
        "audit-trusts-multipliers",
        old="isinstance(r, Multiplier) and r.base == step.masked)",
        new="isinstance(r, Multiplier))",
    ),
    audit("audit-accepts", old="    if false is not None:\n", new="    if False:\n"),
    Mutant(
        "audit-compiled-no-sign",
        AUDITING,
        "            yield from below_zero(name, number)\n",
        "            yield from ()\n",
    ),
    Mutant("audit-compiled-no-difference", AUDITING, "            if gap > TOLERANCE:\n", "            if False:\n"),
    # what the compiled model reads
    Mutant(
        "asked-for-by-difference",
        ACTIVATIONS,
        "for name, pair in plan.differences.items() if name not in read}",
        "for name, pair in plan.differences.items()}",
    ),
    Mutant(
        "difference-the-other-way",
        ACTIVATIONS,
        "self[name] = self[total] - self[other]",
        "self[name] = self[other] - self[total]",
    ),
    # profiles
    walk("product-whole-early", old="s = 0.5 * s if early else s", new="s = 1.0 * s"),
    walk("product-whole-late", old="c if early else 0.5 * c", new="c"),
    walk("factor-forgotten", old="r.factor * role.factor(xp, operands)", new="r.factor"),
    walk("factor-twice", old="r.factor * role.factor(xp, operands)", new="r.factor * role.factor(xp, operands) ** 2"),
    Mutant("softmax-not-centred", HELD["ops/attention"], "w * (x - xp.sum(w * x, [axis], keepdims=True))", "w * x"),
    Mutant("softmax-no-weight", HELD["ops/attention"], "w * (x - xp.sum(w * x", "(x - xp.sum(w * x"),
    Mutant("norm-not-centred-back", HELD["ops/norms"], "return self.centred(xp, s * w)", "return s * w"),
    Mutant(
        "norm-centred-too-early", HELD["ops/norms"], "return self.centred(xp, s * w)", "return self.centred(xp, s) * w"
    ),
    Mutant(
        "norm-no-epsilon",
        HELD["ops/norms"],
        "self.mean(xp, grouped * grouped) + epsilon",
        "self.mean(xp, grouped * grouped)",
    ),
    Mutant("gates-never-half", HELD["model/canonizers/holding"], 'if profile.gates == "half":', "if False:"),
    Mutant(
        "softmax-never-held",
        HELD["model/canonizers/holding"],
        'if profile.softmax == "held" else []',
        "if False else []",
    ),
    Mutant(
        "norms-not-held",
        HELD["model/canonizers/holding"],
        "_one_of([i for i in variable if _is_factor(inputs[i])]) or",
        "()  or",
    ),
    Mutant("vectors-as-they-are", HELD["conversion/convert"], "    as_matrices(model)\n", ""),
    Mutant("vectors-other-axis", HELD["conversion/vectors"], "rank + axis)", "rank + axis - 1)"),
    # relative stabilizers, γ at merges, bounds, seeds that compare
    formula("deviation-of-all", old="axes = list(range(1, len(shape)))", new="axes = list(range(len(shape)))"),
    formula("deviation-not-centred", old="centred = z - xp.sum(z", new="centred = z - 0.0 * xp.sum(z"),
    fact("relative-masked", old="rule is None or not isinstance(rule.epsilon, Relative)", new="True"),
    Mutant("merged-bias-kept", MERGING, 'if step.rule.bias == "ignore" else sorted', "if False else sorted"),
    Mutant("merged-ungated", MERGING, 'if part.gate != "all":', "if False:"),
    Mutant("bounds-not-ordered", BOUNDS, "np.minimum(*ends), np.maximum(*ends)", "ends[0], ends[1]"),
    Mutant("bounds-of-borders", BOUNDS, 'if node.op_type == "Pad" else ()', "if False else ()"),
    Mutant("dense-by-channels", LAYERS, "{*self.read, *self.made} == {1}", "{*self.made} == {1}"),
    Mutant("head-is-input", ASSIGNMENT, "if not followed >> own & 1:", "if False:"),
    Mutant("odds-of-all", CONTRASTS, "w = -softmaxed(_others(logits, target))", "w = -softmaxed(_flat(logits))"),
    Mutant("against-not-shared", CONTRASTS, "= -1.0 / len(self.classes)", "= -1.0"),
)
