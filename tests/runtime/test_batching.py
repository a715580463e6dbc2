"""Which requests share a batch."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from fdcn.runtime.batching import choose


@dataclasses.dataclass
class Request:
    kind: str | None
    images: int


REQUESTS = st.lists(st.builds(Request, st.sampled_from(["a", "b", None]), st.integers(1, 6)), min_size=1)


@given(waiting=REQUESTS, together=st.integers(0, 12))
def test_a_batch_is_of_one_kind_and_within_the_limit(waiting, together):
    chosen = choose(waiting, together)
    assert chosen[0] == 0
    assert chosen == sorted(set(chosen))
    batch = [waiting[i] for i in chosen]
    images = sum(request.images for request in batch)
    if len(batch) > 1:
        assert {request.kind for request in batch} in ({"a"}, {"b"})
        assert images <= together
    left = [request for i, request in enumerate(waiting) if i not in chosen]
    if batch[0].kind is not None:
        assert not [
            request for request in left if request.kind == batch[0].kind and images + request.images <= together
        ]


def test_a_later_one_that_fits_goes_ahead_of_one_that_does_not():
    waiting = [Request("a", 3), Request("b", 1), Request("a", 3), Request("a", 1), Request("a", 1)]
    assert choose(waiting, 5) == [0, 3, 4]
