import torch
import torch.distributed as dist


def fetch(payload):
    return len(payload)


def upload(payload):
    ok = torch.ones(1, dtype=torch.int32)
    failure = None
    try:
        fetch(payload)  # raises
    except Exception as error:
        failure = error
        ok.fill_(0)
    dist.all_reduce(ok, op=dist.ReduceOp.MIN)  # collective
    if failure is not None:
        raise failure
    return bool(ok.item())


def main(rank, world_size):
    return upload(b"weights")
