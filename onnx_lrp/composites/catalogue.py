"""What there is to choose from: every preset with its formula, its use and its source."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace

from .naming import PRESETS, known_name, parameters_of

# What each is for, beside the docstring's first line, which says what it is
USES = {
    "default": "Start here: it keeps class-specific heads and dark pixels.",
    "epsilon": "Exact where the network is linear, noisy on deep convolutional nets.",
    "epsilon_plus": "zennit's EpsilonPlus, by the op's type, to the last digit.",
    "epsilon_plus_flat": "zennit's EpsilonPlusFlat; for inputs whose zeros mean something, when bounds are unknown.",
    "epsilon_alpha2_beta1": "zennit's EpsilonAlpha2Beta1; more contrast, less stable.",
    "epsilon_alpha2_beta1_flat": "zennit's EpsilonAlpha2Beta1Flat.",
    "epsilon_gamma_box": "zennit's EpsilonGammaBox; pictures, where γ between ε and z⁺ is wanted.",
    "layered": "Deep nets by zones, as the overview of LRP recommends.",
    "gamma": "One γ everywhere: 0 is LRP-0, ∞ is z⁺.",
    "zplus": "Smooth maps that hardly depend on the class.",
    "alpha_beta": "For parity with older papers.",
    "attnlrp": "Transformers of text, under --profile attnlrp.",
    "attnlrp_vit": "Vision transformers, under --profile attnlrp.",
}
FORMULAS = {
    "Epsilon": "R_j = x_j Σ_k w_jk R_k / (z_k + ε sign z_k)",
    "Zero": "Epsilon with ε = 0",
    "ZPlus": "R_j = Σ_k (x_j w_jk)⁺ R_k / Σ_j (x_j w_jk)⁺",
    "Gamma": "R_j = x_j Σ_k (w_jk + γ w_jk⁺) R_k / Σ_j x_j (w_jk + γ w_jk⁺), x >= 0; for z < 0 mirrored",
    "AlphaBeta": "α times the share of positive contributions minus β times that of negative ones",
    "ZBox": "R_j = Σ_k (x_j w_jk - l_j w_jk⁺ - h_j w_jk⁻) R_k / Σ_j (the same)",
    "WSquare": "R_j = Σ_k w_jk² R_k / Σ_j w_jk²",
    "Flat": "R_j = Σ_k R_k / (number of inputs of k)",
}


@dataclass(frozen=True)
class PresetInfo:
    """One preset: its name, what it is (with the source), its use, its parameters, and its table of rules."""

    name: str
    what: str
    use: str
    parameters: tuple[str, ...]
    table: str

    def __str__(self) -> str:
        named = [rule for rule in FORMULAS if f" {rule}(" in self.table]
        formulas = [f"  {rule:9}  {FORMULAS[rule]}" for rule in named]
        return "\n".join([f"{self.name}: {self.what}", self.use, f"parameters: {', '.join(self.parameters)}",
                          *self.table.splitlines()[1:], "formulas:", *formulas])  # fmt: skip


def presets() -> tuple[PresetInfo, ...]:
    """All presets, in the order in which they are listed."""
    return tuple(describe(name) for name in PRESETS)


def describe(name: str) -> PresetInfo:
    """One preset, by our name or zennit's.

    Raises:
        CompositeError: there is none of this name.
    """
    own = known_name(name)
    preset = PRESETS[own]
    given = {key: 0.0 if key == "low" else 1.0 for key in ("low", "high")} if own == "epsilon_gamma_box" else {}
    settings = tuple(f"{key}={_shown(value)}" for key, value in parameters_of(own).items())
    what = (inspect.getdoc(preset) or "").splitlines()[0]
    return PresetInfo(own, what.replace("``", ""), USES.get(own, ""), settings, str(replace(preset(**given), name=own)))


def _shown(value: object) -> str:
    return "…" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
