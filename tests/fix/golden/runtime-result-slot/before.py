import torch.distributed as dist


def fetch(keys):
    return list(keys)


def find(rank, keys):
    objects = [None]
    if rank == 0:
        objects[0] = fetch(keys)
    dist.broadcast_object_list(objects, 0)
    found = objects[0]
    return found


def main(rank, world_size):
    return find(rank, "abc")
