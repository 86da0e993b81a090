"""Composites: selectors, presets, strings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import onnx_lrp as lrp
from onnx_lrp import AlphaBeta, Composite, CompositeError, Epsilon, Flat, Gamma, Selector, ZBox
from onnx_lrp.composites import PRESETS, LayerInfo
from onnx_lrp.rules import Part, Rule, Term, identity, neg, pos

LAYERS = [
    LayerInfo("stem", "Conv", 0.0, 0),
    LayerInfo("block/conv", "Conv", 0.5, 1, 0b1),
    LayerInfo("block/add", "Add", 0.6, 2, 0b11),
    LayerInfo("head", "Gemm", 1.0, 3, 0b111),
]


def rules(composite: lrp.Composite) -> list[str]:
    return [str(rule) for rule in composite.assign(LAYERS).values()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epsilon", ["Epsilon()"] * 4),
        ("epsilon:epsilon=0.1", ["Epsilon(epsilon=0.1)"] * 4),
        ("epsilon:epsilon=0.1,stabilizer=0.2", [f"Epsilon(epsilon={n})" for n in (0.1, 0.1, 0.2, 0.1)]),
        ("epsilon_plus", ["ZPlus()", "ZPlus()", "Epsilon()", "Epsilon()"]),
        ("epsilon_plus_flat", ["Flat()", "ZPlus()", "Epsilon()", "Epsilon()"]),
        ("epsilon_alpha2_beta1", ["AlphaBeta()", "AlphaBeta()", "Epsilon()", "Epsilon()"]),
        ("epsilon_alpha2_beta1_flat", ["Flat()", "AlphaBeta()", "Epsilon()", "Epsilon()"]),
        ("epsilon_gamma_box:low=-1,high=2", ["ZBox(low=-1.0, high=2.0)", "Gamma()", "Epsilon()", "Epsilon()"]),
        ("layered:low=-1,high=2", ["ZBox(low=-1.0, high=2.0)", "Gamma()", "Epsilon()", "Zero()"]),
        ("layered", ["WSquare()", "Gamma()", "Epsilon()", "Zero()"]),
        ("layered:boundary=0.4", ["WSquare()", "Epsilon()", "Epsilon()", "Zero()"]),
        ("gamma:gamma=0.5", ["Gamma(gamma=0.5)", "Gamma(gamma=0.5)", "Epsilon()", "Gamma(gamma=0.5)"]),
        ("alpha_beta:alpha=3,beta=2", ["AlphaBeta(alpha=3.0, beta=2.0)"] * 2 + ["Epsilon()"]
         + ["AlphaBeta(alpha=3.0, beta=2.0)"]),
    ],
)  # fmt: skip
def test_presets(text: str, expected: list[str]) -> None:
    assert rules(lrp.Composite.parse(text)) == expected


def test_bounds_per_channel() -> None:
    composite = lrp.Composite.parse("epsilon_gamma_box:low=-2/-1/0,high=1/2/3")
    assert composite.entries[0][1] == lrp.ZBox((-2.0, -1.0, 0.0), (1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "epsilon_plus"),
        ("epsilon:gamma=1", "no parameter gamma"),
        ("epsilon:epsilon=much", "key=number"),
        ("epsilon:epsilon", "key=number"),
        ("epsilon:epsilon=1/2", "one number"),
        ("epsilon:epsilon=-1", "epsilon"),
        ("epsilon:epsilon=nan", "epsilon"),
        ("gamma:gamma=-1", "gamma"),
        ("alpha_beta:alpha=2,beta=2", "alpha - beta"),
        ("epsilon_gamma_box", "low"),
        ("epsilon_gamma_box:low=2,high=1", "low"),
        ("layered:boundary=2", "boundary"),
        (7, "string"),
    ],
)
def test_refused(text: object, message: str) -> None:
    with pytest.raises(lrp.CompositeError, match=message):
        lrp.Composite.parse(text)


def test_entries_in_front_win() -> None:
    composite = lrp.Composite.parse("epsilon_plus").with_entries(
        (lrp.Selector(name="block/*", ops=("Conv",)), lrp.Gamma(0.1)),
        (lrp.Selector(last=True), lrp.Zero()),
        (lrp.Selector(where=lambda layer: layer.order == 0), lrp.Flat()),
    )
    assert rules(composite) == ["Flat()", "Gamma(gamma=0.1)", "Epsilon()", "Zero()"]
    assert "name=block/*" in str(composite)
    assert "otherwise" in str(composite)


def test_depth_range_and_first() -> None:
    selector = lrp.Selector(("Conv",), depth=(0.3, 1.0))
    assert [layer.name for layer in selector.select(LAYERS)] == ["block/conv"]
    assert [layer.name for layer in lrp.Selector(("Conv",), first=True, last=True).select(LAYERS)] == [
        "stem",
        "block/conv",
    ]
    assert lrp.Selector(("LSTM",), first=True).select(LAYERS) == []


def test_what_one_node_was_expanded_to_is_first_together() -> None:
    steps = [LayerInfo(f"cell/t{t}", "Gemm", 0.0, 0) for t in range(3)]
    assert lrp.Selector(("Gemm",), first=True).select([*steps, *LAYERS]) == steps
    assert lrp.Selector(("Gemm",), last=True).select([*steps, *LAYERS]) == [LAYERS[-1]]


def test_positional_parameters_are_the_rules_own() -> None:
    assert lrp.Gamma(0.1).gamma == 0.1
    assert lrp.Epsilon(0.1).epsilon == 0.1
    assert (lrp.AlphaBeta(3, 2).alpha, lrp.ZBox(0, 2).high) == (3, 2)
    assert lrp.Zero().epsilon == 0


def test_every_preset_says_what_it_is() -> None:
    assert all(preset.__doc__ for preset in PRESETS.values())


def test_ones_own_rule() -> None:
    @dataclass(frozen=True)
    class Half(Rule):
        """LRP-0 on half of the negative weights."""

        def parts(self) -> tuple[Part, ...]:
            return (Part((Term(identity, lambda xp, w: pos(xp, w) + 0.5 * neg(xp, w)),)),)

    composite = lrp.Composite("half", ((lrp.Selector(), Half()),))
    assert rules(composite) == ["Half()"] * 4
    assert Half().vanishes_at_zero


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        (Selector(name="blok/*"), "the nearest names are block/add, block/conv"),
        (Selector(ops=("Convv",)), r"layers that take a rule: Conv \(2\), Add \(1\), Gemm \(1\)"),
        (Selector(ops=("Gemm",), depth=(0.0, 0.5)), r"selector Gemm depth=0..0.5 matches no layer \(strict=False"),
    ],
)
def test_a_selector_that_matches_nothing_is_an_error(selector: Selector, said: str) -> None:
    with pytest.raises(CompositeError, match=rf"composite 'mine': .*{said}"):
        Composite("mine", ((selector, Flat()),)).assign(LAYERS)
    loose = Composite("mine", ((replace(selector, strict=False), Flat()),)).assign(LAYERS)
    assert set(loose.values()) == {Epsilon()}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Composite("c", ((Selector(), Epsilon),)), r"Epsilon is a class of rules; make one of it: Epsilon\(\)"),
        (lambda: Composite("c", ((Selector(), "gamma"),)), "not 'gamma'"),
        (lambda: Composite("c", (), 3), "not 3"),
        (lambda: Composite("c", (("Conv", Flat()),)), r"is a pair \(Selector, rule\)"),
        (lambda: Composite("c", (Selector(),)), r"is a pair \(Selector, rule\)"),
        (lambda: Selector(ops="Conv"), r"write ops=\('Conv',\)"),
        (lambda: Selector(ops=3), "ops of a selector must be names, not 3"),
        (lambda: Selector(name=3), "must be a pattern, not 3"),
        (lambda: Selector(depth=0.5), "must be a pair"),
        (lambda: Selector(where=3), "must be a function"),
        (lambda: Epsilon("a"), "epsilon must be a number"),
        (lambda: Gamma("a"), "gamma must be a number"),
        (lambda: AlphaBeta("a", 1), "alpha - beta must be 1"),
        (lambda: ZBox("a", 1), "must be numbers"),
    ],
)
def test_what_is_no_rule_selector_or_number_is_one_clear_error(make: Callable[[], object], said: str) -> None:
    with pytest.raises(CompositeError, match=said):
        make()


def test_ops_may_be_any_collection_of_names() -> None:
    assert Selector(ops=["Conv", "Gemm"]) == Selector(ops=("Conv", "Gemm"))


CONVS = [
    LayerInfo("stem", "Conv", 0.0, 0, 0, "input", (7, 7), 1, 3, (32, 32), (16, 16)),
    LayerInfo("depth", "Conv", 0.3, 1, 0b1, "between", (3, 3), 16, 16, (16, 16), (None, 16)),
    LayerInfo("point", "Conv", 0.6, 2, 0b11, "between", (1, 1), 1, 16, (16, 16), (16, 16)),
    LayerInfo("head", "Conv", 1.0, 3, 0b111, "head", (1, 1), 1, 32, (1, 1), (1, 1)),
    LayerInfo("fc", "Gemm", 1.0, 4, 0b1111, "head"),
]


@pytest.mark.parametrize(
    ("selector", "expected", "shown"),
    [
        (Selector(place="input"), ["stem"], "place=input"),
        (Selector(place="head"), ["head", "fc"], "place=head"),
        (Selector(kernel=1), ["point", "head"], "kernel=1"),
        (Selector(kernel=(7, 7)), ["stem"], "kernel=7x7"),
        (Selector(depthwise=True), ["depth"], "depthwise"),
        (Selector(("Conv",), depthwise=False), ["stem", "point", "head"], "Conv not depthwise"),
        (Selector(dense=True), ["head", "fc"], "dense"),
        (Selector(channels=(10, 20)), ["depth", "point"], "channels=10..20"),
        (Selector(size=(8, 100)), ["stem", "point"], "size=8..100"),
        (Selector(size=(1, 1), name="h*"), ["head"], "name=h* size=1..1"),
    ],
)
def test_selectors_by_kind_of_layer(selector: Selector, expected: list[str], shown: str) -> None:
    assert [layer.name for layer in selector.select(CONVS)] == expected
    assert str(selector) == shown


def test_a_kernel_as_large_as_its_map_is_a_convolution() -> None:
    assert not LayerInfo("c5", "Conv", 0.5, 0, 0, "between", (5, 5), 1, 16, (5, 5), (1, 1)).dense


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Selector(place="top"), "place must be one of input, head, between"),
        (lambda: Selector(kernel="3x3"), "kernel of a selector"),
        (lambda: Selector(size=3), "size of a selector must be a pair"),
        (lambda: Selector(channels=("a", 3)), "channels of a selector must be a pair"),
    ],
)
def test_selectors_are_checked(make: Callable[[], object], said: str) -> None:
    with pytest.raises(CompositeError, match=said):
        make()


def test_default_prints_as_what_it_is() -> None:
    assert str(Composite.parse("default")).splitlines() == [
        "default",
        "  Conv|ConvTranspose|Gemm|MatMul first place=input  ZBox(where the input's bounds are known)",
        "  Conv|ConvTranspose dense                          Epsilon()",
        "  Conv|ConvTranspose                                ZPlus()",
        "  Gemm|MatMul                                       Epsilon()",
        "  otherwise                                         Epsilon()",
    ]
    assigned = Composite.parse("default").assign(CONVS)
    assert [str(rule) for rule in assigned.values()] == ["ZPlus()"] * 3 + ["Epsilon()"] * 2


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("epsilon_")])
def test_zennit_s_presets_go_by_type_unless_told_otherwise(name: str) -> None:
    box = "low=0,high=1," if name == "epsilon_gamma_box" else ""
    by_type, by_effect = (
        Composite.parse(f"{name}:{box}dense_heads={word}").assign(CONVS) for word in ("false", "true")
    )
    assert by_type == Composite.parse(f"{name}:{box}").assign(CONVS)
    assert by_effect[CONVS[3]] == Epsilon()
    assert {layer.name for layer in CONVS if by_type[layer] != by_effect[layer]} == {"head"}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_leave_biases_out(name: str) -> None:
    box = "low=0,high=1," if name == "epsilon_gamma_box" else ""
    kept, without = (Composite.parse(f"{name}:{box}bias={word}").assign(LAYERS) for word in ("absorb", "ignore"))
    assert {rule.bias for rule in kept.values()} == {"absorb"}
    assert without == {layer: replace(rule, bias="ignore") for layer, rule in kept.items()}


@pytest.mark.parametrize(
    ("zennit", "ours"),
    [("EpsilonPlusFlat", "epsilon_plus_flat"), ("EpsilonAlpha2Beta1", "epsilon_alpha2_beta1"),
     ("EpsilonGammaBox:low=0,high=1", "epsilon_gamma_box:low=0,high=1"), ("epsilon-plus", "epsilon_plus")],
)  # fmt: skip
def test_zennit_s_names(zennit: str, ours: str) -> None:
    assert Composite.parse(zennit) == Composite.parse(ours)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epsilon_pls", "did you mean epsilon_plus"),
        ("gamma:gama=1", r"no parameter gama; did you mean gamma\?; it has"),
        ("epsilon:bias=none", "key=number"),
        ("epsilon:bias=true", "bias must be absorb or ignore, not True"),
        ("epsilon_plus:dense_heads=1", "dense_heads must be true or false"),
        ("gamma:gamma=0.1std", "gamma must be one number, not 0.1std"),
        ("default:low=0", "give both low and high"),
        ("default:low=1,high=0", "low must be at most high"),
        ("nowhere.toml", "nowhere.toml: cannot be read: No such file"),
    ],
)
def test_near_misses(text: str, said: str) -> None:
    with pytest.raises(CompositeError, match=said):
        Composite.parse(text)


@pytest.mark.parametrize(
    "text",
    [*(name for name in PRESETS if name != "epsilon_gamma_box"), "default:low=0,high=1/2/3,epsilon=0.1std,bias=ignore",
     "epsilon_gamma_box:low=-1/-2,high=1/2,gamma=0.5"],
)  # fmt: skip
def test_files_hold_what_they_were_made_of(text: str, tmp_path: Path) -> None:
    composite = replace(Composite.parse(text), seed="odds", evidence={"inputs": 32, "p": [0.1, 0.2]})
    composite.save(tmp_path / "own.toml")
    found = Composite.parse(str(tmp_path / "own.toml"))
    assert str(found) == str(composite)
    assert (found.seed, found.evidence) == ("odds", {"inputs": 32, "p": [0.1, 0.2]})
    assert found.assign(CONVS) == composite.assign(CONVS)
    with pytest.raises(lrp.OutputError, match="exists already"):
        composite.save(tmp_path / "own.toml")


def test_every_selector_goes_into_a_file(tmp_path: Path) -> None:
    selector = Selector(
        ("Conv",), "a*", True, False, (0.1, 0.9), None, True, "input", (3, 3), False, True, (1, 8), (2, float("inf"))
    )
    Composite("own", ((selector, Flat()),)).save(tmp_path / "own.toml")
    assert Composite.load(tmp_path / "own.toml").entries == ((selector, Flat()),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"\nnme = 1', "own.toml, line 2: unknown key 'nme'; did you mean name"),
        ('[[entry]]\nops = ["Conv"]\nrule = "Gama"', "line 3: unknown rule 'Gama'; did you mean Gamma"),
        ('[[entry]]\nops = ["Conv"]', "line 1: has no rule; choose one of Epsilon"),
        ('[[entry]]\nrule = "Flat"\n\n[[entry]]\nrule = "Gamma"\ngamma = -1', "line 6: Gamma: gamma must be"),
        ('[[entry]]\nrule = "Gamma"\ngama = 1', "line 3: unknown key 'gama'; did you mean gamma"),
        ('[[entry]]\nrule = "Flat"\nkernel = "3"', "line 3: the kernel of a selector"),
        ('[otherwise]\nrule = "Flat"\nplace = "head"', "line 3: unknown key 'place'"),
        ("entry = 3", "line 1: entries are tables"),
        ('[[entry]]\nops = ["Convv"]\nrule = "Flat"', "line 2: unknown op 'Convv'; did you mean Conv"),
        ("seed = 3", "line 1: seed must be a word"),
        ("name = 3\nrule = = 1", r"is not TOML: .*line 2"),
        ("name = ", r"is not TOML: .*the end of the file"),
    ],
)
def test_files_are_read_with_care(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(CompositeError, match=said):
        Composite.load(path)


def test_what_no_file_can_hold() -> None:
    own = Composite("own", ((Selector(where=lambda layer: True), Flat()),))
    with pytest.raises(CompositeError, match="a selector with a function"):
        own.toml()
    with pytest.raises(CompositeError, match="a rule of one's own"):
        Composite("own", (), Half()).toml()


@dataclass(frozen=True)
class Half(Rule):
    def parts(self) -> tuple[Part, ...]:
        return (Part((Term(identity, identity),), scale=0.5),)


def test_the_catalogue_says_everything_of_each() -> None:
    infos = {info.name: info for info in lrp.presets()}
    assert set(infos) == set(PRESETS)
    assert all(info.what and info.use and "bias=absorb" in info.parameters for info in infos.values())
    assert "z_k + ε sign z_k" in str(infos["epsilon"])
