"""What a search settles for one precision, in its order: groups of steps, then what stays in high precision."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fdcn.bundle import Bundle
from fdcn.calib import drift, keep, ranges
from fdcn.calib.evaluations import psnr
from fdcn.calib.keep import Budget
from fdcn.calib.layers import Layer
from fdcn.calib.sensitivity import Progress, Settings, Sweep
from fdcn.calib.speed import Speed
from fdcn.calib.switches import Setting
from fdcn.errors import FdcnError
from fdcn.export.recipe import Activation, Recipe


@dataclasses.dataclass(frozen=True)
class Options:
    """What a search is asked for; the trajectory's settings are those that the statistics were measured with."""

    method: str = "mse"
    """One of `ranges.METHODS`."""
    keep: str = "auto"
    """"auto", "none", or names and globs of products with commas between."""
    budget: str = "45dB"
    """Of `keep` auto: the least PSNR of the network's output, "45dB", or the least speed over float32, "1.5x".

    Measured on 400 pictures of the shipped model: FP8 in every block leaves 42 dB and costs 3 points of class accuracy
    and half of the Fréchet distance again; with the 8 most sensitive of 55 products kept, at 46 dB, it costs 1 point
    and an eighth. INT8 has 49 dB with none kept.
    """
    solver: str = "neural"
    steps: int = 10
    guidance: float = 4.0
    seed: int = 0


class Choices:
    """For one precision: what has been settled so far; `settings` says so in texts."""

    def __init__(
        self, bundle: Bundle, options: Options, precision: str, times: np.ndarray, layers: list[Layer], sweep: Sweep
    ) -> None:
        self._bundle, self._options, self._precision = bundle, options, precision
        self._times, self._layers, self._sweep = times, layers, sweep
        self._groups = [slice(0, len(times))]
        self._ranges: dict[tuple[str, int, int], float] = {}
        self._products = [product.name for product in sweep.products]
        self._kept = self._unusable() | keep.listed(self._products, options.keep) | keep.ends(self._products)
        self.settings: dict[str, str] = {}
        if not self._quantised():
            raise FdcnError(f"nothing is left to quantise in {precision}; keep less in high precision: --keep auto")

    def choose_groups(self) -> None:
        """One group of steps, or as many as gain enough."""
        used = [layer for layer in self._layers if not self._kept.keys() >= set(layer.products)]
        one, gains = self._psnr(self._groups), []
        for groups in drift.groupings(used, self._precision):
            gains.append(self._psnr(groups) - one)
            if gains[-1] >= drift.GAIN:
                self._groups = groups
                break
        told = ", ".join(f"{number} gain {gain:.2f} dB" for number, gain in enumerate(gains, start=2))
        self.settings["step groups"] = f"{len(self._groups)} ({told})" if told else "1"

    def keep_sensitive(self, limit: Budget, progress: Progress, as_many: int | None) -> int:
        """Keep the most sensitive products until the budget holds, or `as_many`; gives how many they are.

        Raises FdcnError where it cannot be held.
        """
        settings = self._group_settings(self._groups)
        noises = self._sweep.alone(settings, self._group_of(self._groups), self._precision, progress)
        ranked = keep.ranking(noises)
        worst = ", ".join(f"{name} {psnr(noises[name]):.1f} dB" for name in ranked[:3])
        self.settings["most sensitive, alone"] = worst

        def without(count: int) -> dict[str, str]:
            return self._kept | {name: f"alone it leaves {psnr(noises[name]):.1f} dB" for name in ranked[:count]}

        if as_many is None:
            number = self._fit_speed(limit, len(ranked), without) if limit.speed else self._fit(limit, ranked, without)
        else:
            number = min(as_many, len(ranked) - 1)
        self._kept = without(number)
        return number

    def recipe(self) -> Recipe:
        """What was found."""
        found = self._recipe(self._kept)
        self.settings["psnr"] = f"{self._psnr(self._groups):.1f} dB"
        return dataclasses.replace(found, settings=dict(self.settings))

    def _fit(self, limit: Budget, ranked: Sequence[str], without: Callable[[int], dict[str, str]]) -> int:
        def holds(count: int) -> bool:
            return self._psnr(self._groups, without(count)) >= limit.least

        number = keep.fewest(len(ranked), holds)
        if number is None:
            best = self._psnr(self._groups, without(len(ranked) - 1))
            raise FdcnError(
                f"{self._precision} with {ranked[-1]} alone leaves {best:.1f} dB, not the {limit.least:g} dB of the "
                "budget; give a lower --budget"
            )
        return number

    def _fit_speed(self, limit: Budget, ranked: int, without: Callable[[int], dict[str, str]]) -> int:
        speed, measured = Speed(self._bundle, self._sweep.evaluations[0].inputs), dict[int, float]()

        def holds(count: int) -> bool:
            measured[count] = speed.over_float32(self._recipe(without(count)))
            return measured[count] >= limit.least

        number = keep.most(ranked, holds)
        if number is None:
            raise FdcnError(
                f"int8 is {measured[0]:.2f}x as fast as float32 on this machine with all products quantised, not the "
                f"{limit.least:g}x of the budget; give a lower --budget"
            )
        self.settings["speed"] = f"{measured[number]:.2f}x float32"
        return number

    def _unusable(self) -> dict[str, str]:
        """Products that have no range, with the reason. Raises FdcnError where all were asked for."""
        found: dict[str, str] = {}
        for layer in self._layers:
            range_ = layer.range(self._options.method, self._precision)
            reason = ranges.problem(range_, self._precision)
            if reason and self._options.keep == keep.NONE:
                raise FdcnError(
                    f"{layer.products[0]} cannot be quantised: {reason}; leave --keep none out, or name it: "
                    f"--keep {','.join(layer.products)}"
                )
            found |= dict.fromkeys(layer.products, reason) if reason else {}
        return found

    def _range(self, layer: Layer, group: slice) -> float:
        key = layer.name, group.start, group.stop
        if key not in self._ranges:
            own = layer.range(self._options.method, self._precision, group)
            # Zero at the times of a group, not at others: another sampler stops elsewhere.
            self._ranges[key] = own or layer.range(self._options.method, self._precision)
        return self._ranges[key]

    def _group_settings(self, groups: Sequence[slice], kept: Mapping[str, str] | None = None) -> list[Settings]:
        kept = self._kept if kept is None else kept
        found: list[Settings] = []
        for group in groups:
            settings: dict[str, Setting] = {}
            for layer in self._layers:
                names = [name for name in layer.products if name not in kept]
                if names:
                    settings |= dict.fromkeys(names, Setting(self._range(layer, group), layer.migration))
            found.append(settings)
        return found

    def _quantised(self) -> list[str]:
        return [name for name in self._products if name not in self._kept]

    def _group_of(self, groups: Sequence[slice]) -> list[int]:
        until = drift.untils(groups, self._times)
        return [int(np.searchsorted(until, evaluation.t)) for evaluation in self._sweep.evaluations]

    def _psnr(self, groups: Sequence[slice], kept: Mapping[str, str] | None = None) -> float:
        return psnr(self._sweep.noise(self._group_settings(groups, kept), self._group_of(groups)))

    def _recipe(self, kept: dict[str, str]) -> Recipe:
        activations = []
        for layer in self._layers:
            names = [name for name in layer.products if name not in kept]
            if names:
                found = [self._range(layer, group) for group in self._groups]
                migration = None if layer.migration is None else [float(s) for s in layer.migration]
                activations.append(Activation(names, found, migration))
        until = drift.untils(self._groups, self._times)
        in_order = {name: kept[name] for name in self._products if name in kept}
        weights = self._bundle.manifest.model.weights_sha256
        return Recipe(self._precision, weights, until, activations, in_order, {})
