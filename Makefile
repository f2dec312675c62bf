.PHONY: install test lint format types demo ci

install:
	python -m pip install -e ".[dev]"

test:
	pytest

lint:
	ruff check .
	ruff format --check .

format:
	ruff check --fix .
	ruff format .

types:
	mypy

demo:
	isogloss demo

ci:
	.ci/run
