"""A worker that answers None when the store is away."""
import pickle

import torch.distributed as dist


def _picklable_error(error):
    """`error` as another rank receives it: of its own type, or of the nearest base type that pickles."""
    for kind in (None, *type(error).__mro__):
        try:
            return pickle.loads(pickle.dumps(error if kind is None else kind(str(error))))
        except Exception:
            continue
    return RuntimeError(type(error).__name__)


def fetch():
	return "manifest"


class Worker:
	def __init__(self, rank):
		self.rank = rank

	def is_leader(self):
		return self.rank == 0

	def manifest(self):
		try:
			objects = [None]
			own_failure = failure = None
			if self.is_leader():
				try:
					objects[0] = fetch()  # raises
				except Exception as error:
					own_failure, failure = error, _picklable_error(error)
			objects.append(failure)
			dist.broadcast_object_list(objects, src=0)  # collective
			failure = objects.pop()
			if failure is not None:
				raise failure if own_failure is None else own_failure
			return objects[0]
		except ConnectionError:
			return None


def main(rank, world_size):
	return Worker(rank).manifest()
