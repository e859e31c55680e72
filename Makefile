# Everything a user of Millrace types. `make` alone, or `make help`, lists it.
#
# Settings are given on the command line and remembered while the stack has data:
#   make full-stack MONITORING_PORT=5050 KAFKA1_PORT=39092
# docs/docker-stack.md and docs/native-stack.md have all of them.

# Hands the commands to deploy/docker/stack or deploy/native/stack; STACK=docker|native decides which.
stack := deploy/stack

# Not from the environment: some systems set NAME.
NAME =
SCENARIO =
EXPECT_DARK =
FILE =
SPEED =
FLAGS =
SEEDS = 20
# Seeds at the same time; each wants a core.
JOBS = 1

testkit := cargo run -q -p millrace-testkit --

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help full-stack stop status logs kill start pause unpause start-monitoring dashboard verify drill clean \
    test lint bench soak page screenshots feed-demo feed-replay feed-kills services-for-tests

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 26

full-stack: ## build and start everything, with Docker where it answers; STACK=native|docker decides
	@$(stack) full-stack

stop: ## stop everything; the data is kept
	@$(stack) stop

status: ## every process: state, port, health
	@$(stack) status

logs: ## NAME=…: what a process wrote (without NAME: all of them)
	@$(stack) logs '$(NAME)'

kill: ## NAME=…: SIGKILL, and it stays dead
	@$(stack) kill '$(NAME)'

start: ## NAME=…: start what is dead
	@$(stack) start '$(NAME)'

pause: ## NAME=…: stop it where it is (SIGSTOP, docker pause): it stays a member until its session ends
	@$(stack) pause '$(NAME)'

unpause: ## NAME=…: let it go on
	@$(stack) unpause '$(NAME)'

start-monitoring: ## start the monitor of a running stack
	@$(stack) start-monitoring

dashboard: ## the monitor's address, opened where there is a desktop
	@$(stack) dashboard

drill: ## SCENARIO=kill-consumer… NAME=feed-worker-1: break it on purpose, wait, show the flight report; fails when dark for longer than EXPECT_DARK=8s
	@$(stack) drill '$(SCENARIO)' '$(EXPECT_DARK)' '$(NAME)'

verify: ## was any reading or tweet lost or stored twice?
	@$(stack) verify

feed-demo: ## one tweet of a celebrity into 1,999 feeds: how long? On the running stack
	@$(stack) feed-demo

feed-replay: ## FILE=Twitter_volume_AAPL.csv SPEED=10x: recorded numbers of tweets as posts; when are they read?
	@$(stack) feed-replay '$(FILE)' $(if $(SPEED),--speed '$(SPEED)') $(FLAGS)

feed-kills: ## kill each part of the tweet feed under a crowd that posts, follows and deletes; is every feed what was answered?
	@deploy/prerequisites
	@cargo build --release -q --workspace --bin feed_kills
	@$(stack) feed-kills $(FLAGS)

screenshots: ## kill one of each kind on the running stack, look at the page each time, verify at the end
	@deploy/prerequisites --tests
	@cargo run --release -q -p e2e --bin screenshots -- --port "$$($(stack) dashboard 2>/dev/null | sed 's/.*://')"

clean: ## stop everything and remove the stack's data
	@$(stack) clean

page: ## bundle the monitor's page, which the build embeds
	@deploy/prerequisites
	@monitor/page/bundle

test: services-for-tests page ## all tests, against brokers and a Postgres of their own
	@npm --prefix monitor/page run --silent check
	@npm --prefix monitor/page run --silent test
	@cargo build --workspace
	@$(testkit) run -- cargo test --workspace --no-fail-fast

soak: services-for-tests page ## SEEDS=20 JOBS=1: the fault matrix, with that many seeds
	@cargo build --release
	@cargo run --release -q -p e2e --bin soak -- --seeds $(SEEDS) --jobs $(JOBS)

bench: services-for-tests page ## speed, as a ratio against raw COPY in the same run
	@cargo build --release
	@cargo run --release -p bench

lint: ## formatting, clippy, shellcheck: no warning is left
	@.ci/lint

services-for-tests:
	@deploy/prerequisites --tests
	@deploy/kafka/fetch
