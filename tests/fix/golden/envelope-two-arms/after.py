import logging
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


logger = logging.getLogger(__name__)


def fetch(keys):
    return {"session": 7, "locations": list(keys)}


class Connector:
    def __init__(self, rank, world_size):
        self.rank = rank
        self.world_size = world_size
        self.group = dist.new_group(list(range(world_size)))

    def save(self, keys):
        # Start write cache
        own_failure = failure = None
        if self.rank == 0:
            request = {"keys": keys}
            logger.debug("start %s", request)
            try:
                result = fetch(request["keys"])  # raises
            except Exception as error:
                own_failure, failure = error, _picklable_error(error)
                result = None

            if self.world_size > 1:
                dist.broadcast_object_list(  # collective
                    [result, failure], src=0, group=self.group
                )
        else:
            recv = [None]
            recv.append(failure)
            dist.broadcast_object_list(
                recv, src=0, group=self.group
            )
            failure = recv.pop()
            result = recv[0]
        if failure is not None:
            raise failure if own_failure is None else own_failure

        logger.debug("started %s", result)
        return result["locations"]


def main(rank, world_size):
    return Connector(rank, world_size).save(["a", "b"])
