# The front door.  `make demo` trains a model, `make test` runs every test; both
# first install what Debian packages are missing.  CUDA is used when nvcc is there.
PACKAGES := gcc libc6-dev cmake pkg-config flex bison check libjansson-dev uthash-dev librandom123-dev \
            zlib1g-dev libzip-dev
TEST_PACKAGES := clang libclang-rt-dev g++
BUILD := build
JOBS := $(shell nproc)
PREFIX ?= /usr/local

TIME := 30
N := 2000
SEED := 1

.PHONY: all demo test fuzz random coverage install bench regold clean packages test-packages

all: packages
	@cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) >$(BUILD).log 2>&1 || { cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log
	@cmake --build $(BUILD) -j $(JOBS) -- --no-print-directory -s

demo: all
	@command -v nvcc >/dev/null || echo "no nvcc here: CUDA is skipped, the demo trains on the CPU"
	$(BUILD)/bin/mtc run samples/digits.mt

test: all test-packages
	@command -v nvcc >/dev/null || echo "no nvcc here: tests that compile CUDA are skipped"
	@$(BUILD)/bin/mtc_tests

# Fuzz every reader of outside bytes for TIME seconds each, under address and undefined behaviour sanitizers.
fuzz: all test-packages
	@cmake --preset fuzz >/dev/null && cmake --build $(BUILD)/fuzz --target fuzzers -j $(JOBS) -- --no-print-directory -s
	@tests/fuzz/run $(BUILD)/fuzz $(TIME)

# From SEED on: N random graphs through the passes and N/10 through C, N/10 random models trained for C, N/30 for
# emulated CUDA, and for a GPU where there is one.  `make random N=200000 SEED=7`; what fails is kept, made smaller.
random: all test-packages
	KEEP=tests/random/corpus MTC_RANDOM=$(N) MTC_SEED=$(SEED) $(BUILD)/bin/mtc_tests random_programs
	KEEP=tests/random/kept tests/random/models $(BUILD) c $(SEED) $$(($(N) / 10))
	KEEP=tests/random/kept tests/random/models $(BUILD) emulator $(SEED) $$(($(N) / 30))
	@! nvidia-smi >/dev/null 2>&1 || KEEP=tests/random/kept tests/random/models $(BUILD) cuda $(SEED) $$(($(N) / 60))

# Rewrite the golden files from what the compiler does now; read `git diff tests/golden` before you commit.
regold: all
	MTC_REGOLD=1 $(BUILD)/bin/mtc_tests

# Which branches do the tests take?  A table a file, and those under their goal.
coverage: packages test-packages
	$(call install_missing,gcovr)
	@cmake --preset coverage >/dev/null && \
	  cmake --build $(BUILD)/coverage -j $(JOBS) -- --no-print-directory -s
	@find $(BUILD)/coverage -name '*.gcda' -delete
	@$(BUILD)/coverage/bin/mtc_tests; status=$$?; tests/coverage/report $(BUILD)/coverage && exit $$status

install: all
	cmake --install $(BUILD)

# One training step of each benchmark model, beside PyTorch and JAX where they are installed.
bench: all
	$(call install_missing,python3)
	bench/run

clean:
	rm -rf $(BUILD)

# Debian packages by name; nothing is done, and nothing asked, when all are there.
define install_missing
	@missing=""; for p in $(1); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  command -v apt-get >/dev/null || { echo "please install:$$missing"; exit 1; }; \
	  echo "installing:$$missing"; sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -q >/dev/null && \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing >/dev/null; \
	fi
endef

packages:
	$(call install_missing,$(PACKAGES))

test-packages:
	$(call install_missing,$(TEST_PACKAGES))
