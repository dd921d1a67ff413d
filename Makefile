# Every target is one line that also works by hand.
CARGO ?= cargo
ARGS ?=
AUTH_LEVEL ?= anonymous

.PHONY: demo test check package bench

# The product on an embedded stand-in for Microsoft's services; ARGS=--once ends by itself.
demo:
	@$(CARGO) run --quiet --locked -p demo -- $(ARGS)

# Everything that CI checks; installs what it needs.
test:
	@bash .ci/left-out bash .ci/test

# The fast loop while writing code.
check:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@bash .ci/left-out $(CARGO) test --workspace --locked

# Release executable for the images of Azure Functions, target/package/ and target/package.zip; AUTH_LEVEL=function for API_AUTH=host.
package:
	python3 infra/package.py --executable "$$(bash infra/build.sh)" --out target/package --auth-level $(AUTH_LEVEL)

# The product against a bare axum server, in ratios; ARGS=cached runs one case.
bench: package
	$(CARGO) build --release --quiet --locked -p bench && target/release/bench $(ARGS)
