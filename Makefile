# Every command a developer needs. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help demo test test-unit check fix bench build clean setup
export PATH := $(CURDIR)/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$(PATH)

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: ## Install what is missing on this machine (the others call it)
	@pkg-config/setup.sh node run plugin

demo: setup ## The whole line with proof; DATAPATH=veth|ipvlan|overlay|underlay (root, a minute)
	@npm run -s bundle
	@node test/demo/main.ts

test: setup ## Everything CI runs: check, unit tests, kernel and end-to-end tests (root)
	@pkg-config/setup.sh test runtime uml-source
	@test/run.sh

test-unit: ## Tests that need no root
	@pkg-config/setup.sh node plugin
	@npm run -s test

check: ## Types, lint, format, layers, unused code, generated documents
	@pkg-config/setup.sh node
	@for step in types lint format layers unused docs; do echo "== $$step" && npm run -s $$step || exit 1; done

fix: ## Apply what a machine can fix, regenerate generated documents
	@npm exec -- oxlint --fix cni daemon proto sim test bench pkg-config
	@npm exec -- oxfmt cni daemon proto sim test bench pkg-config
	@node pkg-config/docs.ts

bench: setup ## Ours beside a peer in the same run: medians, p90 and ratios (root)
	@pkg-config/setup.sh bench
	@npm run -s bundle
	@node bench/main.ts

build: ## dist/bin/{terway,terwayd,terway-sim}, runnable from any directory
	@pkg-config/setup.sh node plugin
	@npm run -s bundle

clean: ## Remove what build and tests made
	rm -rf dist .cache
