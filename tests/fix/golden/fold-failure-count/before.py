import torch
import torch.distributed as dist


def fetch(payload):
    return len(payload)


def upload(payload):
    failed = False
    sent = fetch(payload)  # raises
    if sent != len(payload):
        failed = True
    failures = torch.tensor([int(failed)])
    dist.all_reduce(failures, op=dist.ReduceOp.SUM)  # collective
    return int(failures.item()) == 0


def main(rank, world_size):
    return upload(b"weights")
