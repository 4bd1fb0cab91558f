import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=int, help="how many hostile cases are tried")
    parser.addoption("--case", help="the one case that is tried, 'kind/number', in full")
