import torch
import torch.distributed as dist


def fetch(payload):
    return len(payload)


def upload(payload):
    ok = torch.ones(1, dtype=torch.int32)
    fetch(payload)  # raises
    dist.all_reduce(ok, op=dist.ReduceOp.MIN)  # collective
    return bool(ok.item())


def main(rank, world_size):
    return upload(b"weights")
