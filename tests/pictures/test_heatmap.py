"""What a heatmap shows, pixel by pixel, and that a picture file is written whole or not at all."""

import os

import numpy as np
import pytest
from PIL import Image

from onnx_lrp.errors import InputError, OutputError
from onnx_lrp.pictures.colormaps import BLUE, RED
from onnx_lrp.pictures.heatmap import heatmap, overlay, save_png
from onnx_lrp.writing import shown

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def colours(relevance, **options):
    return np.asarray(heatmap(np.asarray(relevance), size=1, **options)).astype(int)


def lightness(rgb):
    """CIE L* of sRGB colours, shape (..., 3)."""
    linear = np.where((c := np.asarray(rgb) / 255) <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16


class TestHeatmap:
    def test_zero_is_white_and_signs_have_their_colours(self):
        got = colours([[-2.0, -1.0, 0.0, 1.0, 2.0]])[0]
        assert got[2].tolist() == [255, 255, 255]
        assert got[0].tolist() == list(BLUE[-1])
        assert got[4].tolist() == list(RED[-1])
        for blue, red in ((got[0], got[4]), (got[1], got[3])):
            assert blue[2] > blue[0]
            assert red[0] > red[2]

    def test_scale_is_symmetric_around_zero(self):
        """The strongest colour belongs to the largest magnitude, so a weaker other side stays pale."""
        got = colours([[-1.0, 0.0, 10.0]])[0]
        assert got[0].min() > 180
        assert got[2].tolist() == list(RED[-1])

    def test_equal_magnitudes_look_equally_strong(self):
        magnitudes = np.linspace(0, 1, 101)
        red, blue = lightness(colours(magnitudes[None])[0]), lightness(colours(-magnitudes[None])[0])
        assert (np.diff(red) < 0.01).all()
        assert (np.diff(blue) < 0.01).all()
        assert np.abs(red - blue).max() < 8

    def test_only_proportions_count(self):
        relevance = np.random.default_rng(1).standard_normal((5, 5))
        for factor in (1e-300, 1e300, 1e-30):
            np.testing.assert_array_equal(colours(relevance), colours(relevance * factor))

    @pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.float16])
    def test_no_relevance_is_neutral(self, dtype):
        assert (colours(np.zeros((4, 4), dtype)) == 255).all()

    def test_percentile_clips_the_few(self):
        relevance = np.ones((10, 10))
        relevance[0, 0] = 1000
        assert colours(relevance)[5, 5].min() > 250
        got = colours(relevance, percentile=99)
        assert got[5, 5].max() < 200
        np.testing.assert_array_equal(got[0, 0], RED[-1])

    def test_percentile_of_mostly_zeros_still_shows_the_rest(self):
        relevance = np.zeros((10, 10))
        relevance[3, 4] = -1e-3
        got = colours(relevance, percentile=90)
        np.testing.assert_array_equal(got[3, 4], BLUE[-1])
        assert (np.delete(got.reshape(-1, 3), 34, axis=0) == 255).all()

    @pytest.mark.parametrize(
        ("shape", "size"),
        [((28, 28), (448, 448)), ((30, 15), (225, 450)), ((224, 224), (448, 448)), ((500, 600), (600, 500)),
         ((1, 10), (450, 56)), ((784, 1), (56, 784))],
    )  # fmt: skip
    def test_small_pictures_are_enlarged(self, shape, size):
        image = heatmap(np.ones(shape))
        assert image.mode == "RGB"
        assert image.size == size

    def test_every_value_is_one_square(self):
        relevance = np.random.default_rng(1).standard_normal((7, 7))
        blocks = np.asarray(heatmap(relevance)).reshape(7, 64, 7, 64, 3)
        assert (blocks == blocks[:, :1, :, :1]).all()
        np.testing.assert_array_equal(blocks[:, 0, :, 0], colours(relevance, percentile=100))

    @pytest.mark.parametrize(
        ("relevance", "word"),
        [
            (np.array([[1, np.nan]]), "NaN"),
            (np.array([[1, -np.inf]]), "NaN"),
            (np.zeros((3, 4, 4)), "shape"),
            (np.zeros((0, 4)), "shape"),
            (np.array([["a"]]), "numbers"),
        ],
    )
    def test_unusable_relevance(self, relevance, word):
        with pytest.raises(InputError, match=word):
            heatmap(relevance)

    @pytest.mark.parametrize("percentile", [0, -1, 101, float("nan")])
    def test_percentile_range(self, percentile):
        with pytest.raises(InputError, match="percentile"):
            heatmap(np.ones((2, 2)), percentile=percentile)


class TestOverlay:
    def test_shows_only_the_pale_picture_without_relevance(self):
        got = np.asarray(overlay(np.zeros((6, 8)), PICTURE, size=1)).astype(int)
        grey = PICTURE @ np.array([0.299, 0.587, 0.114])
        assert (got[..., 0] == got[..., 2]).all()
        assert np.corrcoef(got[..., 0].ravel(), grey.ravel())[0, 1] > 0.999
        assert got.min() > 130

    def test_opacity_grows_with_relevance(self):
        black = np.zeros((1, 4, 3), np.uint8)
        got = np.asarray(overlay(np.array([[0, 0.1, 0.5, 1]]), black, size=1)).astype(int)[0]
        redness = got[:, 0] - got[:, 2]
        assert redness[0] == 0
        assert 0 < redness[1] < redness[2]
        np.testing.assert_array_equal(got[3], RED[-1])

    def test_alpha_zero_hides_the_heat(self):
        relevance = np.random.default_rng(3).standard_normal((6, 8))
        hidden = overlay(relevance, PICTURE, alpha=0)
        np.testing.assert_array_equal(hidden, overlay(np.zeros((6, 8)), PICTURE))

    def test_is_enlarged_like_the_heatmap(self):
        assert overlay(np.ones((6, 8)), PICTURE).size == heatmap(np.ones((6, 8))).size == (448, 336)

    @pytest.mark.parametrize("picture", [PICTURE[:5], PICTURE[..., 0], PICTURE / 255])
    def test_picture_must_fit(self, picture):
        with pytest.raises(InputError, match="uint8"):
            overlay(np.ones((6, 8)), picture)

    @pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
    def test_alpha_range(self, alpha):
        with pytest.raises(InputError, match="alpha"):
            overlay(np.ones((6, 8)), PICTURE, alpha=alpha)


class TestSavePng:
    IMAGE = heatmap(np.array([[1.0, -1.0]]), size=1)

    def refused(self, path, word, **options):
        with pytest.raises(OutputError, match=word) as caught:
            save_png(self.IMAGE, path, **options)
        assert str(caught.value).isprintable()
        assert shown(path) in str(caught.value)

    def test_round_trip_leaves_one_file(self, tmp_path):
        save_png(self.IMAGE, tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as back:
            assert back.format == "PNG"
            np.testing.assert_array_equal(back.convert("RGB"), self.IMAGE)
            assert back.mode == "P"  # two colours
        assert os.listdir(tmp_path) == ["a.png"]

    def test_bare_name_goes_to_the_working_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        save_png(self.IMAGE, "a.PNG")
        assert os.listdir() == ["a.PNG"]

    def test_permissions_are_the_users_default(self, tmp_path):
        (tmp_path / "plain").touch()
        save_png(self.IMAGE, tmp_path / "a.png")
        assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_existing_file_needs_force(self, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(b"precious")
        self.refused(path, "exists already")
        assert path.read_bytes() == b"precious"
        save_png(self.IMAGE, path, force=True)
        assert path.read_bytes().startswith(b"\x89PNG")

    def test_dangling_link_counts_as_existing(self, tmp_path):
        (tmp_path / "a.png").symlink_to(tmp_path / "elsewhere.png")
        self.refused(tmp_path / "a.png", "exists already")
        assert not (tmp_path / "elsewhere.png").exists()

    @pytest.mark.parametrize("name", ["a.jpg", "a", "a.png.txt"])
    def test_other_endings(self, tmp_path, name):
        self.refused(tmp_path / name, "ends in .png")

    def test_missing_folder(self, tmp_path):
        self.refused(tmp_path / "no" / "a.png", "folder .* does not exist")

    def test_folder_of_that_name(self, tmp_path):
        (tmp_path / "a.png").mkdir()
        self.refused(tmp_path / "a.png", "is a folder", force=True)

    @pytest.mark.parametrize("name", ["nul\0.png", "x" * 300 + ".png", "line\n" + "x" * 300 + ".png"])
    def test_impossible_names(self, tmp_path, name):
        self.refused(str(tmp_path / name), "cannot be written")

    def test_failure_leaves_the_old_file_and_nothing_else(self, tmp_path, monkeypatch):
        path = tmp_path / "a.png"
        path.write_bytes(b"precious")

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", full)
        self.refused(path, "No space left", force=True)
        assert os.listdir(tmp_path) == ["a.png"]
        assert path.read_bytes() == b"precious"
