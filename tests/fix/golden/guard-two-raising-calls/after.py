import pickle

import torch
import torch.distributed


def _picklable_error(error):
    """`error` as another rank receives it: of its own type, or of the nearest base type that pickles."""
    for kind in (None, *type(error).__mro__):
        try:
            return pickle.loads(pickle.dumps(error if kind is None else kind(str(error))))
        except Exception:
            continue
    return RuntimeError(type(error).__name__)


class Sizes:
    def __init__(self, world_size):
        self.world_size = world_size

    def group(self):
        return torch.distributed.group.WORLD

    def largest(self, names):
        total = 0
        own_failure = failure = None
        try:
            for name in names:
                total += fetch(name)  # raises
            total += fetch("footer")  # also raises
        except Exception as error:
            own_failure, failure = error, _picklable_error(error)
        if self.world_size > 1:
            failures = [None] * torch.distributed.get_world_size(self.group())
            torch.distributed.all_gather_object(failures, failure, group=self.group())
            failure = next((each for each in failures if each is not None), None)
        if failure is not None:
            raise failure if own_failure is None else own_failure
        size = torch.tensor([total])
        if self.world_size > 1:
            torch.distributed.all_reduce(size, op=torch.distributed.ReduceOp.MAX, group=self.group())  # collective
        return int(size.item())


def fetch(name):
    return len(name)


def main(rank, world_size):
    return Sizes(world_size).largest(["a", "bc"])
