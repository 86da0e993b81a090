"""Every registered function's signature is the op's attribute schema, defaults included, in every opset from 7 on."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx.defs import OpSchema

from onnx_lrp.model.wellformed import OLDEST_OPSET
from onnx_lrp.ops import OPS, Activation, Site, Unsupported, role_of

NEWEST = onnx.defs.onnx_opset_version()

# Where None stands for the schema's default: no bound at all, or a default that depends on the opset
NONE_MEANS_DEFAULT = {
    ("Clip", "min"): np.finfo(np.float32).min,
    ("Clip", "max"): np.finfo(np.float32).max,
    ("Resize", "coordinate_transformation_mode"): "half_pixel",
    ("Resize", "nearest_mode"): "round_prefer_floor",
    ("DFT", "axis"): 1,
    ("GridSample", "mode"): "bilinear",
    ("RoiAlign", "coordinate_transformation_mode"): "half_pixel",
}
# One function for two ops, or an attribute that only opsets before 7 know
BEYOND_THE_SCHEMA = {
    "Add": {"axis", "broadcast"},
    "Sub": {"axis", "broadcast"},
    "Mul": {"axis", "broadcast"},
    "Div": {"axis", "broadcast"},
    "Gemm": {"broadcast"},
    "CastLike": {"to"},
    "Identity": {"ratio", "seed"},
    "Scatter": {"reduction"},
    "Resize": {"scales"},
    "Upsample": {
        "axes", "antialias", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside",
        "extrapolation_value", "keep_aspect_ratio_policy", "nearest_mode",
    },
}  # fmt: skip


def schemas(op: str) -> list[OpSchema]:
    """The op's distinct versions that models of the supported opsets can import."""
    domain, _, name = op.rpartition("::")
    found = {}
    for version in range(1 if domain else OLDEST_OPSET, NEWEST + 1):
        if onnx.defs.has(name, version, domain):
            schema = onnx.defs.get_schema(name, version, domain)
            found[schema.since_version] = schema
    return [schema for schema in found.values() if not schema.deprecated]


def parameters(op: str) -> dict[str, inspect.Parameter]:
    return dict(list(inspect.signature(OPS[op]).parameters.items())[1:])


def every_attribute() -> Iterator[tuple[str, OpSchema, OpSchema.Attribute]]:
    for op in sorted(OPS):
        for schema in schemas(op):
            for attribute in schema.attributes.values():
                yield op, schema, attribute


def default_of(attribute: OpSchema.Attribute) -> object:
    """The schema's default as a Python value; None if it has none."""
    if not attribute.default_value.type:
        return None
    value = onnx.helper.get_attribute_value(attribute.default_value)
    return value.decode() if isinstance(value, bytes) else value


ATTRIBUTES = [
    pytest.param(op, schema, attribute, id=f"{op}-{schema.since_version}-{attribute.name}")
    for op, schema, attribute in every_attribute()
]


@pytest.mark.parametrize("op", sorted(OPS))
def test_the_op_is_a_standard_one(op: str) -> None:
    assert schemas(op)
    assert next(iter(inspect.signature(OPS[op]).parameters)) == "node"


@pytest.mark.parametrize(("op", "schema", "attribute"), ATTRIBUTES)
def test_a_schema_s_attribute_is_a_parameter_with_its_default(
    op: str, schema: OpSchema, attribute: OpSchema.Attribute
) -> None:
    parameter = parameters(op).get(attribute.name)
    assert parameter is not None
    wanted = default_of(attribute)
    if wanted is None:
        return
    given = parameter.default
    if given is None:
        given = NONE_MEANS_DEFAULT[op, attribute.name]
    if (op, attribute.name, wanted) == ("GridSample", "mode", "linear"):  # what bilinear is called since opset 20
        wanted = "bilinear"
    assert type(given) is type(wanted) or isinstance(given, np.floating)
    assert given == wanted or np.float32(given) == np.float32(wanted)


@pytest.mark.parametrize(("op", "schema", "attribute"), ATTRIBUTES)
def test_an_optional_attribute_may_be_left_out(op: str, schema: OpSchema, attribute: OpSchema.Attribute) -> None:
    if not attribute.required:
        assert parameters(op)[attribute.name].default is not inspect.Parameter.empty


@pytest.mark.parametrize("op", sorted(OPS))
def test_no_parameter_is_unknown_to_the_standard(op: str) -> None:
    known = {name for schema in schemas(op) for name in schema.attributes}
    assert set(parameters(op)) - known <= BEYOND_THE_SCHEMA.get(op, set())


class Nowhere(Site):
    """A node with one variable input."""

    op_type, domain, opset, arity, outputs, variable = "", "", NEWEST, 1, 1, (0,)
    hint: str | None = None

    def __init__(self, op_type: str) -> None:
        self.op_type = op_type

    def has(self, position: int) -> bool:
        return position == 0

    def constant(self, position: int) -> None:
        return None

    def rank(self, position: int) -> int:
        return 4


@pytest.mark.parametrize("op", ["Tanh", "Softmax", "LayerNormalization", "If", "LSTM", "Sin", "NoSuchOp"])
def test_an_op_without_a_role_is_refused_with_a_remedy(op: str) -> None:
    with pytest.raises(Unsupported) as verdict:
        role_of(Nowhere(op), {})
    assert verdict.value.reason
    assert verdict.value.remedy


def test_an_unknown_attribute_is_refused_not_ignored() -> None:
    role_of(Nowhere("LeakyRelu"), {"alpha": 0.5})
    with pytest.raises(Unsupported, match="beta, gamma"):
        role_of(Nowhere("LeakyRelu"), {"alpha": 0.5, "gamma": 1.0, "beta": 2.0})


def test_no_op_of_a_mixing_kind_has_a_role() -> None:
    assert not set(OPS) & {"Softmax", "LayerNormalization", "Exp"}


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "Softplus", "Elu", "Gelu", "Erf", "HardSwish", "Mish", "Swish"])
def test_a_smooth_activation_has_a_role_only_on_somebody_s_word(op: str) -> None:
    node = Nowhere(op)
    with pytest.raises(Unsupported, match="not ReLU-compatible"):
        role_of(node, {})
    node.hint = "trusted"
    assert isinstance(role_of(node, {}), Activation)


@pytest.mark.parametrize(("variable", "data"), [((0, 1), 1), ((0,), ())])
def test_of_a_gate_and_a_signal_the_signal_gets_everything(variable: tuple[int, ...], data: object) -> None:
    node = Nowhere("Mul")
    node.hint, node.variable = "gate", variable
    role = role_of(node, {})
    assert isinstance(role, Activation)
    assert role.data == data
