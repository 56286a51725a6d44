"""Why a call may raise on one rank and not on its peers: in `# =>` beside the call, in `#|` lines for a function.

`network 1 requests.get` is a reason: its kind, its strength (1 is the strongest), the call that raises.
"""

from __future__ import annotations

from pathlib import Path

from rslint.flow.compare import suspects_of
from rslint.flow.knowledge import Knowledge
from rslint.flow.reasons import DEPTH, call_reasons, calls_of, function_reasons
from rslint.flow.record import Reason
from tests.flow.trees import assert_beside, assert_under, known


def text_of(reason: Reason) -> str:
    return f"{reason.kind} {reason.strength} {reason.text}"


def of_calls(k: Knowledge, identity: str) -> dict[int, str]:
    """The reasons of the calls in each row, callees included."""
    function = k.links.ir(identity)
    found: dict[int, list[str]] = {}
    for call, _ in calls_of(k, identity):
        for reason in call_reasons(k, function, call):
            found.setdefault(call.span.row, []).append(text_of(reason))
    return {row: ", ".join(texts) for row, texts in found.items()}


def of_function(k: Knowledge, identity: str) -> str:
    return ", ".join(text_of(reason) for reason in function_reasons(k, identity, DEPTH)) or "none"


def of_suspects(k: Knowledge, identity: str) -> dict[int, str]:
    """The reasons of exceptions that part ranks, callees not asked again."""
    found: dict[int, str] = {}
    for suspect in suspects_of(k, identity) if identity in k.walks else ():
        if suspect.kind in ("exception", "handler"):
            for reason, place in suspect.reasons:
                found[place.row] = f"{suspect.kind}: {text_of(reason)}"
    return found


def test_clients_of_remote_services_fail_for_one_rank(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import requests
        import urllib.request

        class Worker:
            def ask(self, url, client, stub, kv_store):
                requests.get(url)  # => network 1 requests.get
                urllib.request.urlopen(url)  # => network 1 urllib.request.urlopen
                client.start_write(url)  # => rpc 1 client.start_write
                self.manager_client.finish(url)  # => rpc 1 self.manager_client.finish
                stub.Lookup(url)  # => rpc 1 stub.Lookup
                kv_store.put(url, 1)  # => storage 1 kv_store.put

            def local(self, path, future):
                open(path)  # => file 5 open
                future.result(timeout=3)  # => timeout 1 future.result
                future.result()
        """,
        of_calls,
    )


def test_arithmetic_containers_and_accessors_do_not_fail_for_one_rank(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import math

        def computed(x, client, logger, items):
            math.sqrt(x)
            items.append(x)
            items.get(x)
            len(items)
            logger.info(x)
            client.close()
            client.is_ready()
            dist.all_reduce(x)
            dist.get_rank()
        """,
        of_calls,
    )


def test_whatever_a_callback_raises_comes_out_of_its_call(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def run(x, step, cls):
            step(x)  # => callback 2 step
            cls(x)
            named(x, step)

        def named(x, step):
            x.step()
            print(step)
        """,
        of_calls,
    )


def test_reasons_come_out_of_functions_unless_they_are_stopped(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        import contextlib
        import requests

        def asks(url):
            #| network 1 requests.get
            return requests.get(url)

        def deeper(url):
            #| network 1 requests.get
            return asks(url)

        def stopped(url):
            #| none
            try:
                return asks(url)
            except OSError:
                return None

        def bare(url):
            #| none
            try:
                return asks(url)
            except:
                return None

        def of_another_type(url):
            #| network 1 requests.get
            try:
                return asks(url)
            except KeyError:
                return None

        def raised_again(url):
            #| network 1 requests.get
            try:
                return asks(url)
            except OSError:
                raise

        def raised_as_another(url):
            #| network 1 requests.get
            try:
                return asks(url)
            except OSError as error:
                raise RuntimeError(url) from error

        def in_the_handler(url):
            #| network 1 requests.get
            try:
                return int(url)
            except OSError:
                return asks(url)

        def in_the_else(url):
            #| network 1 requests.get
            try:
                int(url)
            except OSError:
                return None
            else:
                return asks(url)

        def suppressed(url):
            #| none
            with contextlib.suppress(OSError):
                asks(url)

        def suppressed_another(url):
            #| network 1 requests.get
            with contextlib.suppress(KeyError):
                asks(url)

        def around_all(url):
            #| none
            try:
                raised_again(url)
            except Exception:
                return None
        """,
        of_function,
    )


def test_a_handler_may_raise_another_exception_instead(tmp_path: Path) -> None:
    """From then on it is that exception which handlers stop, or do not."""
    assert_under(
        tmp_path,
        """
        import requests

        class Unreachable(RuntimeError):
            pass

        def translates(url):
            #| network 1 requests.get
            try:
                return requests.get(url)
            except OSError as error:
                raise Unreachable(url) from error

        def prepared(url):
            #| none
            try:
                return translates(url)
            except Unreachable:
                return None

        def too_late(url):
            #| network 1 requests.get
            try:
                return translates(url)
            except OSError:
                return None

        def not_translated(url):
            #| network 1 requests.get
            try:
                return requests.get(url)
            except Unreachable:
                return None

        def the_same(url):
            #| none
            try:
                return again(url)
            except OSError:
                return None

        def again(url):
            #| network 1 requests.get
            try:
                return requests.get(url)
            except OSError as error:
                if url.startswith("file"):
                    raise Unreachable(url) from error
                raise error.with_traceback(None)
        """,
        of_function,
    )


def test_a_callback_is_a_reason_in_its_own_function_only(tmp_path: Path) -> None:
    """Who passes the callback knows what it raises."""
    assert_under(
        tmp_path,
        """
        def runs(step):
            #| none
            step()

        def passes(x):
            #| none
            runs(x.append)
        """,
        of_function,
    )


def test_the_strongest_reason_of_each_kind_comes_first(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        import requests

        def several(path, url, client):
            #| rpc 1 client.ask, network 1 requests.get, file 5 open
            open(path)
            client.ask(url)
            requests.post(url)
            requests.get(url)
        """,
        of_function,
    )


def test_the_steps_lead_from_the_call_to_the_place(tmp_path: Path) -> None:
    k = known(
        tmp_path,
        """
        import requests

        def asks(url):
            return requests.get(url)

        def outer(url):
            return asks(url)
        """,
    )
    (reason,) = function_reasons(k, "m:outer", DEPTH)
    assert [(step.text, step.site.function, step.site.row) for step in reason.steps] == [
        ("calls asks", "m:outer", 9),
        ("requests.get may raise requests.exceptions.ConnectionError", "m:asks", 6),
    ]
    assert reason.exceptions[0] == "requests.exceptions.ConnectionError"
    assert reason.certainty == "model"
    assert function_reasons(k, "m:outer", 0) == ()


def test_an_abstract_method_is_what_its_name_says(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        class ManagerClient:
            def ask(self, url):
                raise NotImplementedError

            def tell(self, url):
                return url

        def use(client: ManagerClient, url):
            client.ask(url)  # => rpc 1 client.ask
            client.tell(url)
        """,
        of_calls,
    )


def test_an_exception_before_a_collective_parts_the_ranks(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import requests

        def before(x, url):
            requests.get(url)  # => exception: network 1 requests.get
            dist.all_reduce(x)

        def after(x, url):
            dist.all_reduce(x)
            requests.get(url)

        def without(x, url):
            requests.get(url)

        def in_the_handler(x, url):
            try:
                requests.get(url)  # => handler: network 1 requests.get
            except OSError:
                dist.barrier()

        def alike(x, url):
            try:
                requests.get(url)
            except OSError:
                x = None
            dist.all_reduce(x)

        def finally_alike(x, url):
            try:
                requests.get(url)
            finally:
                dist.barrier()

        def skipped(x, url):
            try:
                requests.get(url)  # => exception: network 1 requests.get
                dist.all_reduce(x)
            except OSError:
                x = None
            dist.barrier()
        """,
        of_suspects,
    )


def test_the_body_of_a_with_statement_may_raise(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from contextlib import contextmanager

        @contextmanager
        def together(x):
            yield x  # => exception: body 2 the body of the with statement
            dist.barrier()

        @contextmanager
        def always(x):
            try:
                yield x
            finally:
                dist.barrier()
        """,
        of_suspects,
    )


def test_a_call_that_its_author_expects_to_raise(tmp_path: Path) -> None:
    """The handler around it leaves before the collective. A handler of another type expects nothing."""
    assert_beside(
        tmp_path,
        """
        def expected(x, engine):
            try:
                engine.prepare(x)  # => exception: expected 3 engine.prepare
            except Exception:
                return None
            dist.all_reduce(x)

        def programming(x, engine):
            try:
                engine.prepare(x)
            except TypeError:
                return None
            dist.all_reduce(x)

        def unexpected(x, engine):
            engine.prepare(x)
            dist.all_reduce(x)

        def cannot(x, items):
            try:
                items.append(x)
            except Exception:
                return None
            dist.all_reduce(x)
        """,
        of_suspects,
    )


def test_what_only_the_leader_runs_fails_on_the_leader_alone(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def led(x, engine, rank):
            if rank == 0:
                engine.register(x)  # => exception: leader 4 engine.register
                x.append(rank)
            dist.all_reduce(x)

        def by_all(x, engine, rank):
            engine.register(x)
            dist.all_reduce(x)
        """,
        of_suspects,
    )


def test_local_files_are_the_weakest_reason(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def reads(x, path):
            open(path)  # => exception: file 5 open
            dist.all_reduce(x)
        """,
        of_suspects,
    )
