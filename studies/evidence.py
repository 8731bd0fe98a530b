"""All that the questions are answered from."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from minituner.foundation import parquet, storage
from studies.levels import crossing
from studies.results import Scores


@dataclasses.dataclass(frozen=True)
class Project:
    """An experiment of its own: a further base, or a larger task."""

    summary: pd.DataFrame
    verdict: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the studies measured.

    Attributes:
        settings: those that the page's command names.
        scores: of each study's runs.
        curves: of each study's runs along training on validation, a row a run, seed and checkpoint;
            of `intruders` a row a run, seed and weight.
        lengths: a row a training length of a base.
        projects: by name.
    """

    settings: dict[str, Any]
    scores: dict[str, Scores]
    curves: dict[str, pd.DataFrame]
    lengths: pd.DataFrame
    projects: dict[str, Project]

    def on_validation(self, study: str, variant: str, at: str = "drift") -> float:
        """A run's margin on validation where it first reaches a level, mean over seeds."""
        level = self.settings["science"][at]
        rows = self.curves[study]
        margins = []
        for _, curve in rows[rows["variant"] == variant].groupby("seed"):
            i, weight, _ = crossing(curve[at].tolist(), level)
            before, after = curve["margin"].iloc[i], curve["margin"].iloc[i + 1]
            margins.append((1 - weight) * before + weight * after)
        return sum(margins) / len(margins)

    def best(self, study: str, by_rate: dict[float, str]) -> float:
        """The rate whose run has the largest margin on validation at equal drift."""
        return max(by_rate, key=lambda rate: self.on_validation(study, by_rate[rate]))


def read(folder: Path, settings: dict[str, Any]) -> Evidence:
    """All of it, from the folder that the studies wrote to."""
    scores, curves = {}, {}
    for study in sorted({path.parent.name for path in folder.glob("*/s*.parquet")}):
        files = sorted((folder / study).glob("s*.parquet"))
        scores[study] = Scores(files, settings["evaluate"])
        along = sorted((folder / study).glob("curves_s*.parquet"))
        curves[study] = pd.concat(map(parquet.read_frame, along), ignore_index=True)
    projects = {
        path.parent.name: Project(
            parquet.read_frame(path.parent / "summary.parquet"), storage.read_json(path)
        )
        for path in sorted(folder.glob("projects/*/definition_of_done.json"))
    }
    lengths = parquet.read_frame(folder / "lengths.parquet")
    return Evidence(settings, scores, curves, lengths, projects)
