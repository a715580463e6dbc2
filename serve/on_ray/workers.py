"""Making a set of pictures on a Ray cluster, by Ray Data.

A worker that dies is replaced, and what it was making is made again: some shards twice, which replaces a file by its
equal. So each index is in the set once, whatever happens on the way.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import ray
import ray.data
from ray.data import ActorPoolStrategy

from fdcn.errors import FdcnError
from fdcn.serve.on_ray.cluster import check_room, connected
from fdcn.serve.sets.folder import Folder
from fdcn.serve.sets.sample import Progress, ShardMaker
from fdcn.serve.sets.sample_set import SampleSet, Shard


@dataclasses.dataclass(frozen=True)
class Workers:
    """Processes that sample, each on some machine of the cluster."""

    number: int | None = None
    """One a GPU that the cluster has, else one a machine, by default."""
    gpus: float | None = None
    """Of each; 1 where the cluster has GPUs by default."""
    cpus: float | None = None
    """Of each; 1 by default."""

    def make(self, pictures: SampleSet, folder: Folder, shards: Sequence[Shard], progress: Progress) -> None:
        """Make shards, in the order in which they get done. Raises FdcnError where one cannot be made."""
        with connected():
            machines = sum(node["Alive"] for node in ray.nodes())
            cards = ray.cluster_resources().get("GPU", 0.0)
            gpus = min(1.0, cards) if self.gpus is None else self.gpus
            number = self.number or (max(1, int(cards / gpus)) if gpus else machines)
            number = min(number, len(shards))
            cpus = 1.0 if self.cpus is None else self.cpus
            check_room(number, cpus, gpus)
            _make(pictures, folder, shards, progress, number, cpus, gpus)


def _make(
    pictures: SampleSet,
    folder: Folder,
    shards: Sequence[Shard],
    progress: Progress,
    number: int,
    cpus: float,
    gpus: float,
) -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # there is one already
    context.actor_task_retry_on_errors = False  # an error is the user's to mend; a death is Ray's to mend
    made, total = 0, sum(shard.count for shard in shards)
    # The list lies with the driver: a task that reads it would want a CPU of its own, which the workers may have.
    rows = [dataclasses.asdict(shard) for shard in shards]
    todo = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _Worker,
        fn_constructor_args=(pictures, folder),
        batch_size=1,
        compute=ActorPoolStrategy(size=number, max_tasks_in_flight_per_actor=1),
        num_cpus=cpus,
        num_gpus=gpus,
    )
    for row in todo.iter_rows():
        if row["error"]:
            raise FdcnError(row["error"])
        made += row["count"]
        progress(made, total)


class _Worker:
    """A process that makes one shard after the other; a row of the table is a shard."""

    def __init__(self, pictures: SampleSet, folder: Folder) -> None:
        self._pictures, self._folder = pictures, folder
        self._maker: ShardMaker | None = None

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Make them. What a user can mend comes back in the column `error`, and Ray does not try again."""
        errors = []
        for number, first, count in zip(rows["number"], rows["first"], rows["count"], strict=True):
            try:
                self._make(Shard(int(number), int(first), int(count)))
                errors.append("")
            except FdcnError as error:
                errors.append(str(error))
        return {"count": rows["count"], "error": errors}

    def _make(self, shard: Shard) -> None:
        if self._folder.has(shard):  # by a worker that died before it could say so
            return
        self._maker = self._maker or ShardMaker(self._pictures, self._folder)
        self._maker.make(shard)
