import torch.distributed as dist


def fetch(keys):
    return list(keys), 3


def agree_on(rank, keys, group=None):
    found = size = None
    if rank == 0:
        # one question for all ranks
        found, size = fetch(keys)  # raises
    if not keys:
        return [], 0
    objects = [found, size]
    dist.broadcast_object_list(objects, src=0, group=group)  # collective
    found, size = objects
    return found, size


def main(rank, world_size):
    return agree_on(rank, ["a"])
