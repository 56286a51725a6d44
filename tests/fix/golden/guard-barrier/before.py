import torch.distributed as dist


def fetch(name):
    return name


def announce(rank, group):
    failure = "none"
    if rank == 0:
        fetch("worker")  # raises
    dist.barrier(group=group)  # collective
    dist.barrier(group=group)
    return failure


def main(rank, world_size):
    return announce(rank, dist.group.WORLD)
