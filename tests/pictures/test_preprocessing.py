"""Pictures into model inputs: sizes, colours and axis orders, checked against written-out arithmetic."""

import numpy as np
import pytest
from PIL import Image

from onnx_lrp.errors import InputError
from onnx_lrp.pictures.preprocessing import PREPROCESSINGS, Layout, Preprocessing, spatial

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.float32)
GREY = RGB[..., :1]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

SHAPES = [  # the model's shape, what it becomes for the 6 x 8 picture, its axes
    ((1, 3, 6, 8), (1, 3, 6, 8), "NCHW"),
    (("batch", 3, None, "w"), (1, 3, 6, 8), "NCHW"),
    ((None, None, None, None), (1, 3, 6, 8), "NCHW"),
    ((1, 1, 6, 8), (1, 1, 6, 8), "NCHW"),
    ((1, 1, 28, 1), (1, 1, 28, 1), "NCHW"),
    ((None, 6, 8, 3), (1, 6, 8, 3), "NHWC"),
    ((None, None, None, 3), (1, 6, 8, 3), "NHWC"),
    ((1, 6, 8, 1), (1, 6, 8, 1), "NHWC"),
    ((None, 6, 8), (1, 6, 8), "NHW"),
    ((1, 6, 8), (1, 6, 8), "NHW"),
    ((3, 6, 8), (3, 6, 8), "CHW"),
    ((6, 8, 3), (6, 8, 3), "HWC"),
    ((None, 49), (1, 49), "NF"),
    ((1, 48), (1, 48), "NF"),
    ((np.int64(1), np.int64(48)), (1, 48), "NF"),
    ((49,), (49,), "F"),
]


class TestLayout:
    @pytest.mark.parametrize(("shape", "filled", "axes"), SHAPES)
    def test_axes_and_shape(self, shape, filled, axes):
        assert Layout.of(shape).axes == axes
        x = PREPROCESSINGS["raw"].apply(RGB, shape)
        assert x.shape == filled
        assert x.dtype == np.float32
        assert x.flags.c_contiguous

    @pytest.mark.parametrize(("shape", "filled", "axes"), SHAPES)
    def test_unpack_undoes_pack(self, shape, filled, axes):
        layout = Layout.of(filled)
        pixels = np.random.default_rng(1).random((layout.height, layout.width, layout.channels))
        packed = layout.pack(pixels)
        assert packed.shape == filled
        np.testing.assert_array_equal(layout.unpack(packed), pixels)
        if layout.batched:
            np.testing.assert_array_equal(layout.unpack(packed[0]), pixels)

    def test_flat_is_channels_then_rows(self):
        x = PREPROCESSINGS["raw"].apply(RGB[:4, :4], (1, 48))
        np.testing.assert_array_equal(x[0].reshape(3, 4, 4), RGB[:4, :4].transpose(2, 0, 1))

    @pytest.mark.parametrize("shape", [(), (1, 3, 4, 5, 6)])
    def test_other_ranks(self, shape):
        with pytest.raises(InputError, match="axes"):
            Layout.of(shape)

    @pytest.mark.parametrize("shape", [(1, 4, 6, 8), (1, 50), (1, None), (None, None)])
    def test_no_picture_fits(self, shape):
        for use in (lambda: PREPROCESSINGS["raw"].apply(RGB, shape), lambda: PREPROCESSINGS["raw"].bounds(shape)):
            with pytest.raises(InputError, match="no picture fits"):
                use()

    def test_several_samples_are_refused(self):
        with pytest.raises(InputError, match="one sample"):
            Layout.of((None, 3, 6, 8)).unpack(np.zeros((2, 3, 6, 8)))


class TestApply:
    def test_imagenet_is_the_usual_formula(self):
        x = Preprocessing.create("imagenet").apply(RGB, (1, 3, 6, 8))
        np.testing.assert_allclose(x[0].transpose(1, 2, 0), (RGB.astype(np.float64) / 255 - MEAN) / STD, rtol=1e-6)

    def test_zero_one_signed_and_raw(self):
        shape = (1, 6, 8, 3)
        np.testing.assert_allclose(Preprocessing.create("zero-one").apply(RGB, shape)[0], RGB / 255.0, rtol=1e-6)
        np.testing.assert_allclose(Preprocessing.create("signed").apply(RGB, shape)[0], RGB / 127.5 - 1, atol=1e-6)
        np.testing.assert_array_equal(Preprocessing.create("raw").apply(RGB, shape)[0], RGB)

    def test_caffe_is_bgr_minus_its_means(self):
        x = Preprocessing.create("caffe").apply(RGB, (1, 3, 6, 8))[0]
        np.testing.assert_array_equal(x[0], RGB[..., 2] - 104)
        np.testing.assert_array_equal(x[1], RGB[..., 1] - 117)
        np.testing.assert_array_equal(x[2], RGB[..., 0] - 123)

    def test_grey_to_rgb_and_back(self):
        x = PREPROCESSINGS["raw"].apply(GREY, (1, 6, 8, 3))[0]
        np.testing.assert_array_equal(x, np.repeat(GREY, 3, axis=2))
        x = PREPROCESSINGS["raw"].apply(RGB, (1, 6, 8, 1))[0]
        np.testing.assert_allclose(x[..., 0], RGB @ np.array([0.299, 0.587, 0.114]), rtol=1e-6)
        np.testing.assert_array_equal(PREPROCESSINGS["raw"].apply(GREY[..., 0], (1, 6, 8)), GREY[..., 0][None])

    def test_channels_decide_where_the_model_leaves_it_open(self):
        assert Preprocessing.create("raw", channels="grey").apply(RGB, (None,) * 4).shape == (1, 1, 6, 8)
        assert Preprocessing.create("raw", channels="bgr").apply(RGB, (None,) * 4).shape == (1, 3, 6, 8)

    def test_three_means_need_three_channels(self):
        with pytest.raises(InputError, match="1 channel"):
            Preprocessing.create("imagenet").apply(RGB, (1, 1, 6, 8))

    @pytest.mark.parametrize(
        ("picture", "word"),
        [
            (np.zeros((2, 2, 4)), "number array"),
            (np.zeros((0, 2, 3)), "number array"),
            (np.zeros(3), "number array"),
            (np.array([["a"]]), "number array"),
            (np.full((2, 2), np.nan), "0 to 255"),
            (np.full((2, 2), 1e300), "0 to 255"),
            (np.full((2, 2), -1), "0 to 255"),
        ],
    )
    def test_not_a_picture(self, picture, word):
        with pytest.raises(InputError, match=word):
            PREPROCESSINGS["raw"].apply(picture, (1, 3, 6, 8))


class TestResizing:
    def test_crop_takes_the_middle(self):
        x = PREPROCESSINGS["raw"].resized(RGB, (1, 3, 6, 4))
        np.testing.assert_array_equal(x, RGB[:, 2:6])
        tall = RGB.transpose(1, 0, 2)
        np.testing.assert_array_equal(PREPROCESSINGS["raw"].resized(tall, (1, 3, 4, 6)), tall[2:6])

    @pytest.mark.parametrize("target", [(5, 5), (20, 10), (3, 12), (6, 8), (1, 1)])
    def test_crop_keeps_proportions(self, target):
        """A centred disc stays a disc: its width and height in the result agree."""
        y, x = np.mgrid[:240, :320]
        disc = 255.0 * (((y - 119.5) ** 2 + (x - 159.5) ** 2) < 60**2)
        height, width = 12 * target[0], 12 * target[1]
        seen = PREPROCESSINGS["raw"].resized(disc, (1, 1, height, width))[..., 0]
        expected = 120 * max(height / 240, width / 320)
        assert seen.shape == (height, width)
        assert seen[height // 2].sum() / 255 == pytest.approx(min(expected, width), abs=1.5)
        assert seen[:, width // 2].sum() / 255 == pytest.approx(min(expected, height), abs=1.5)

    def test_stretch_keeps_everything(self):
        ramp = np.broadcast_to(np.linspace(0, 255, 64, dtype=np.float32), (16, 64))
        stretch = Preprocessing.create("raw", fit="stretch").resized(ramp, (1, 1, 16, 16))
        crop = Preprocessing.create("raw").resized(ramp, (1, 1, 16, 16))
        assert stretch.min() < 10
        assert stretch.max() > 245
        assert crop.min() > 90
        assert crop.max() < 165

    def test_matches_pillow_and_is_antialiased(self):
        stripes = np.tile(np.array([0, 255], np.float32), (64, 32))
        seen = PREPROCESSINGS["raw"].resized(stripes, (1, 1, 8, 8))[..., 0]
        np.testing.assert_allclose(seen[:, 1:-1], 127.5, atol=2)  # the mean, and not every eighth column
        np.testing.assert_array_equal(seen, Image.fromarray(stripes).resize((8, 8), Image.Resampling.BILINEAR))

    def test_open_sizes_keep_the_pictures_own(self):
        assert PREPROCESSINGS["raw"].resized(RGB, (1, 3, None, 4)).shape == (6, 4, 3)
        assert PREPROCESSINGS["raw"].resized(RGB, (1, 3, "h", "w")).shape == (6, 8, 3)

    @pytest.mark.parametrize("shape", [(1, 200_000, 1), (200_000, 1, 3)])
    def test_extreme_proportions_stay_small(self, shape):
        assert PREPROCESSINGS["raw"].resized(np.full(shape, 7.0), (1, 3, 224, 224)).shape == (224, 224, 3)

    def test_never_leaves_the_range(self):
        seen = PREPROCESSINGS["raw"].resized(np.where(RGB > 127, 255.0, 0.0), (1, 3, 31, 17))
        assert seen.min() >= 0
        assert seen.max() <= 255


class TestBounds:
    @pytest.mark.parametrize(("shape", "filled", "axes"), SHAPES)
    @pytest.mark.parametrize("name", ["raw", "zero-one", "signed"])
    def test_black_and_white_lie_on_them(self, shape, filled, axes, name):
        preprocessing = PREPROCESSINGS[name]
        low, high = preprocessing.bounds(shape)
        black, white = (preprocessing.apply(np.full((6, 8, 3), p), shape) for p in (0, 255))
        np.testing.assert_array_equal(np.broadcast_to(low, filled), black)
        np.testing.assert_allclose(np.broadcast_to(high, filled), white, rtol=1e-6)
        assert low.dtype == high.dtype == np.float32

    @pytest.mark.parametrize("name", PREPROCESSINGS)
    @pytest.mark.parametrize("shape", [(1, 3, 5, 5), (1, 5, 5, 3), (1, 75), (3, 5, 5), (5, 5, 3)])
    def test_every_input_lies_between(self, name, shape):
        low, high = PREPROCESSINGS[name].bounds(shape)
        x = PREPROCESSINGS[name].apply(RGB, shape)
        assert (low <= x).all()
        assert (x <= high).all()

    def test_imagenet_per_channel(self):
        low, high = PREPROCESSINGS["imagenet"].bounds((None, 3, 224, 224))
        assert low.shape == high.shape == (1, 3, 1, 1)
        np.testing.assert_allclose(low.ravel(), -MEAN / STD, rtol=1e-6)
        np.testing.assert_allclose(high.ravel(), (1 - MEAN) / STD, rtol=1e-6)

    def test_flat_colours_are_spelled_out(self):
        low, _ = PREPROCESSINGS["caffe"].bounds((1, 12))
        np.testing.assert_array_equal(low, [[-104] * 4 + [-117] * 4 + [-123] * 4])

    @pytest.mark.parametrize("change", [{"std": (-1.0,)}, {"scale": -1.0}, {"std": (1.0, -2.0, 3.0)}])
    def test_low_is_below_high_for_negative_numbers(self, change):
        low, high = Preprocessing.create("raw", **change).bounds((1, 3, 2, 2))
        assert (low < high).all()


class TestDisplay:
    @pytest.mark.parametrize("name", PREPROCESSINGS)
    @pytest.mark.parametrize("shape", [(1, 3, 6, 8), (None, 6, 8, 3), (6, 8, 3), (1, 3, None, None)])
    def test_gives_the_picture_back(self, name, shape):
        x = PREPROCESSINGS[name].apply(RGB, shape)
        shown = PREPROCESSINGS[name].display(x, shape)
        assert shown.dtype == np.uint8
        np.testing.assert_array_equal(shown, RGB)
        np.testing.assert_array_equal(PREPROCESSINGS[name].display(x), RGB)

    @pytest.mark.parametrize("shape", [(1, 1, 6, 8), (1, 6, 8), (1, 36)])
    def test_grey_is_shown_in_three_channels(self, shape):
        shown = PREPROCESSINGS["signed"].display(PREPROCESSINGS["signed"].apply(GREY, shape), shape)
        assert shown.shape[2] == 3
        if shape != (1, 36):
            np.testing.assert_array_equal(shown, np.repeat(GREY, 3, axis=2))

    def test_out_of_range_is_clipped(self):
        x = np.array([-1e9, np.inf, np.nan, 7], np.float32).reshape(1, 1, 2, 2)
        np.testing.assert_array_equal(PREPROCESSINGS["raw"].display(x)[..., 0], [[0, 255], [0, 7]])

    @pytest.mark.parametrize("shape", [(1, 5, 6, 8), (1, 50), (2, 3, 4, 4)])
    def test_what_is_no_picture(self, shape):
        with pytest.raises(InputError):
            PREPROCESSINGS["raw"].display(np.zeros(shape))


class TestCreate:
    def test_default_changes_nothing(self):
        assert Preprocessing.create() == Preprocessing() == PREPROCESSINGS["raw"]

    def test_explicit_parts_override_the_preset(self):
        made = Preprocessing.create("imagenet", mean=[0, 0, 0], channels="bgr", fit="stretch")
        assert made == Preprocessing(1 / 255, (0.0, 0.0, 0.0), PREPROCESSINGS["imagenet"].std, "bgr", "stretch")
        assert Preprocessing.create("caffe", scale=2).scale == 2

    def test_unknown_words_list_the_known(self):
        with pytest.raises(InputError, match=r"unknown preprocessing 'resnet'; choose from raw, .*imagenet"):
            Preprocessing.create("resnet")
        with pytest.raises(InputError, match="rgb, bgr, grey"):
            Preprocessing.create(channels="rgba")
        with pytest.raises(InputError, match="crop, stretch"):
            Preprocessing.create(fit="pad")

    @pytest.mark.parametrize(
        "parts",
        [
            {"mean": (1, 2)},
            {"mean": ()},
            {"std": (1, 2, 3, 4)},
            {"std": (1, 0, 1)},
            {"scale": 0},
            {"scale": float("nan")},
            {"mean": (float("inf"),)},
            {"std": (float("nan"),)},
            {"std": 0.5},
            {"mean": "0.5"},
            {"scale": "x"},
            {"scale": 1e300},
            {"std": (1e-300,)},
            {"mean": (1, 2, 3), "channels": "grey"},
        ],
    )
    def test_bad_numbers(self, parts):
        with pytest.raises(InputError) as caught:
            Preprocessing.create(**parts)
        assert next(iter(parts)) in str(caught.value)

    def test_presets_are_frozen(self):
        with pytest.raises(AttributeError):
            PREPROCESSINGS["raw"].scale = 2.0


class TestSpatial:
    R = np.random.default_rng(2).standard_normal((3, 6, 8))

    def test_sums_over_channels(self):
        expected = self.R.sum(axis=0)
        np.testing.assert_array_equal(spatial(self.R, (1, 3, 6, 8)), expected)
        np.testing.assert_array_equal(spatial(self.R[None], (None, 3, None, None)), expected)
        np.testing.assert_allclose(spatial(self.R.transpose(1, 2, 0), (None, 6, 8, 3)), expected)
        np.testing.assert_array_equal(spatial(self.R, (3, 6, 8)), expected)

    def test_any_number_of_channels(self):
        five = np.arange(5 * 6 * 8.0).reshape(5, 6, 8)
        np.testing.assert_array_equal(spatial(five, (1, 5, 6, 8)), five.sum(axis=0))

    def test_planes_and_flat_inputs(self):
        np.testing.assert_array_equal(spatial(self.R[0], (None, 6, 8)), self.R[0])
        np.testing.assert_array_equal(spatial(self.R[0].ravel(), (None, 48)), self.R[0].reshape(1, 48))
        np.testing.assert_array_equal(spatial(np.arange(5.0), (1, 5)), [np.arange(5.0)])

    def test_flat_pictures_are_folded(self):
        np.testing.assert_array_equal(spatial(self.R.reshape(1, -1), (1, 144), (6, 8)), self.R.sum(axis=0))
        with pytest.raises(InputError, match="fold"):
            spatial(np.zeros(10), (1, 10), (3, 4))

    def test_relevance_is_conserved(self):
        for shape in ((1, 3, 6, 8), (1, 144), (3, 6, 8)):
            assert spatial(self.R.reshape(shape), shape).sum() == pytest.approx(self.R.sum())

    @pytest.mark.parametrize("given", [(2, 3, 6, 8), (6, 8), (144,)])
    def test_other_axes_are_refused(self, given):
        with pytest.raises(InputError, match="one sample"):
            spatial(np.zeros(given), (None, 3, 6, 8))
