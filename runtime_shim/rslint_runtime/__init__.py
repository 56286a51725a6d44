"""What a distributed program needs so that one rank's failure reaches every rank instead of hanging them."""

from rslint_runtime.collectives import PeerError, agree, broadcast_result, rank_guard

__all__ = ["PeerError", "agree", "broadcast_result", "rank_guard"]
