import torch
import torch.distributed as dist


def fetch(payload):
    return len(payload)


def upload(payload):
    ok = torch.ones(1, dtype=torch.int32)
    local_failure = None
    try:
        fetch(payload)  # raises
    except Exception as error:
        local_failure = error
        ok.fill_(0)
    dist.all_reduce(ok, op=dist.ReduceOp.MIN)  # collective
    if local_failure is not None:
        raise local_failure
    return bool(ok.item())


def main(rank, world_size):
    return upload(b"weights")
