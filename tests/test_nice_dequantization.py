"""Dequantisation: bins, units, and noise that belongs to the image."""

import math

import pytest
import torch
from scipy.stats import kstest

from lightning_modules.functional.noise import ContentNoise
from lightning_modules.functional.normalising_flow import (
    bits_per_dim,
    dequantize,
    log_mean_exp,
    quantize,
)


def content_noise(x, draw):
    return ContentNoise.of_images(x).uniform(x.shape[1:], draw)


BYTES = torch.arange(256, dtype=torch.float64) / 255


@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 1e-6])
def test_every_byte_has_a_bin_of_its_own_and_comes_back(u):
    y = dequantize(BYTES, torch.full((256,), u, dtype=torch.float64))
    torch.testing.assert_close(y, (torch.arange(256) + u) / 256, check_dtype=False)
    assert torch.equal((255 * quantize(y)).round(), torch.arange(256).double())


def test_what_lies_outside_the_unit_interval_becomes_the_nearest_byte():
    assert quantize(torch.tensor([-3.0, -1e-9, 1.0, 8.0])).tolist() == [0, 0, 1, 1]


def test_bits_per_dim_of_the_uniform_density_and_of_the_published_likelihood():
    assert float(bits_per_dim(torch.tensor(0.0), 784)) == pytest.approx(8)
    assert float(bits_per_dim(torch.tensor(1980.50), 784)) == pytest.approx(4.36, abs=0.005)


def test_log_mean_exp_of_huge_values():
    values = torch.tensor([[2000.0, -1e4], [2000.0 + math.log(3), -1e4]])
    torch.testing.assert_close(log_mean_exp(values), torch.tensor([2000 + math.log(2), -1e4]))


@pytest.fixture(scope="module")
def pictures():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (400, 1, 8, 8), generator=generator) / 255
    x[:200] = 0  # 200 black images that differ in one pixel by one level
    x.view(400, 64)[range(200), [i % 64 for i in range(200)]] = (torch.arange(200) // 64 + 1) / 255
    return x


def test_noise_is_uniform_and_independent_over_images_pixels_and_draws(pictures):
    u = torch.stack([content_noise(pictures, draw) for draw in range(3)])
    assert u.shape == (3, 400, 1, 8, 8)
    assert 0 <= float(u.min()) < float(u.max()) < 1
    assert kstest(u.flatten().numpy(), "uniform").pvalue > 0.01
    for along in (u.flatten(2), u.flatten(2).transpose(1, 2), u.flatten(1).T[None]):
        rows = along.flatten(0, 1) if len(along) > 1 else along[0].T
        correlation = torch.corrcoef(rows)
        off = correlation[~torch.eye(len(correlation), dtype=torch.bool)]
        # Correlations of n independent pairs have standard error n^-1/2.
        assert float(off.abs().max()) < 5.5 / math.sqrt(rows.shape[1])


def test_noise_is_a_function_of_the_image_alone(pictures):
    u = content_noise(pictures, 1)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    assert torch.equal(content_noise(pictures[order], 1), u[order])
    torch.manual_seed(5)
    assert torch.equal(content_noise(pictures[7:8], 1), u[7:8])
    assert not torch.equal(content_noise(pictures, 0), u)
