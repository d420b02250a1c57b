# SPDX-License-Identifier: BSD-2-Clause
# Lintel. `make run` boots a stock Debian Linux under it; `make test` runs every test; `make help` says what else there is.
# docs/architecture.md says what the folders are.

# --- what to build ---------------------------------------------------------------------------

BUILD     := build
# VMCS_COUNTS=1: an image beside the usual one that counts VMREADs and VMWRITEs (docs/performance.md).
VARIANT   := $(if $(VMCS_COUNTS),-counts)
IMAGE     := $(BUILD)/lintel$(VARIANT).efi
CONFIG    ?= guests/linux/lintel.conf

C_DIRS    := boot lib drivers ept vmx vioapic virtio vswitch vmm $(patsubst %/,%,$(wildcard vmm/*/))
C_SRCS    := $(sort $(wildcard $(C_DIRS:%=%/*.c)))
ASM_SRCS  := $(sort $(wildcard $(C_DIRS:%=%/*.asm)))
HEADERS   := $(sort $(wildcard $(C_DIRS:%=%/*.h)))
OBJS      := $(C_SRCS:%.c=$(BUILD)/image$(VARIANT)/%.o) $(ASM_SRCS:%.asm=$(BUILD)/image$(VARIANT)/%.asm.o)

.DEFAULT_GOAL := $(IMAGE)
.DELETE_ON_ERROR:

# --- tools and flags -------------------------------------------------------------------------

CC        := gcc
NASM      := nasm
LD        := ld
Q         := $(if $(V),,@)
say        = @printf '  %-8s%s\n'

WARNINGS  := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wconversion -Wvla -Werror
# -ffile-prefix-map: the objects do not tell in which folder they were made.
CFLAGS    := -std=c11 -O2 -g -ffile-prefix-map=$(CURDIR)=. -ffreestanding -fpie -include boot/hidden.h -fno-stack-protector \
             -fno-strict-aliasing -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
             -mno-red-zone -mgeneral-regs-only $(WARNINGS) $(if $(VMCS_COUNTS),-DVMCS_COUNTS=1) -I.
EFI_FLAGS := -isystem /usr/include/efi -isystem /usr/include/efi/x86_64 -DGNU_EFI_USE_MS_ABI
LDFLAGS   := -m i386pep -T boot/lintel.lds --subsystem 10 --image-base 0 --nxcompat --dynamicbase \
             --high-entropy-va --enable-reloc-section --no-insert-timestamp

# --- the image -------------------------------------------------------------------------------

## (without): build/lintel.efi, and nothing else
# lintel.debug is the same image with its symbols: for addr2line and gdb.
$(IMAGE): $(OBJS) boot/lintel.lds tools/check-objects
	$(say) CHECK objects
	$(Q)tools/check-objects $(OBJS)
	$(say) LD $@
	$(Q)$(LD) $(LDFLAGS) -Map $(@:.efi=.map) -o $(@:.efi=.debug) $(OBJS)
	$(Q)$(LD) $(LDFLAGS) -s -o $@ $(OBJS)

$(BUILD)/image$(VARIANT)/boot/%.o: CFLAGS += $(EFI_FLAGS)
# Every exit goes through it, and a backtrace ends there anyway (vmx/entry.asm).
$(BUILD)/image$(VARIANT)/vmm/exit/reenter.o: CFLAGS += -fomit-frame-pointer

$(BUILD)/image$(VARIANT)/%.o: %.c Makefile
	$(say) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/image$(VARIANT)/%.asm.o: %.asm lib/gprs.inc Makefile
	$(say) NASM $<
	$(Q)mkdir -p $(@D)
	$(Q)$(NASM) -I./ -f elf64 -g -F dwarf -w+all -Werror -o $@ $<

-include $(OBJS:.o=.d)

-include guests/micro/micro.mk
-include guests/exitbench/exitbench.mk
-include tests/bench/kvm-run/kvm-run.mk
-include guests/loads/loads.mk

# --- everything that can be built ------------------------------------------------------------

.PHONY: help all compile_commands.json

## help: this list
# Each line that begins with two # and a blank is one of the list's.
help:
	$(Q)awk -F ': ' ' \
		BEGIN { print "make TARGET...; V=1 shows the commands" } \
		/^# --- / { part = substr($$0, 7); sub(/ -+$$/, "", part) } \
		/^## / { \
			if (part != "") print "\n" part; \
			part = ""; \
			printf "  %-21s %s\n", substr($$1, 4), substr($$0, length($$1) + 3) \
		}' Makefile

BUILT := $(IMAGE) micro exitbench kvm-run loads unit fuzzers

## all: whatever is built from this tree without booting it: image, small guests, unit tests, fuzzers
all: $(BUILT)

## compile_commands.json: how each C source is compiled, for clangd and its like
# Told by make itself, which here only says what it would do to build all.
compile_commands.json:
	$(Q)$(MAKE) --no-print-directory --dry-run --always-make $(BUILT) | tools/compile-commands > $@.new
	$(Q)mv $@.new $@

# --- guests, and a folder that boots them ----------------------------------------------------

.PHONY: guests esp image run setup certify certify-image

## setup: installs what build, lab and guests need, saying what and why
setup:
	$(Q)tools/setup build lab guests

# The guest's disk, for configurations that name a partition.
GUEST_DISK = $(if $(shell grep -s '^[[:space:]]*disk[[:space:]]*=[[:space:]]*part:' $(CONFIG)),$(BUILD)/guests/debian.img)

## guests: a Debian kernel and its disk, in build/guests/
guests:
	$(Q)tools/setup guests
	$(Q)guests/linux/build $(BUILD)/guests
	$(Q)$(if $(GUEST_DISK),guests/linux/rootfs $(BUILD)/guests)

## esp: build/esp, a folder that boots; CONFIG=FILE chooses the configuration
esp: setup $(IMAGE) guests
	$(Q)tools/esp $(BUILD)/esp $(IMAGE) $(CONFIG) $(BUILD)/guests

## image: build/lintel.img, a disk image for a USB stick or any VM; CONFIG=FILE as well
image: esp
	$(Q)tools/lab image --esp $(BUILD)/esp $(GUEST_DISK:%=--partitions %) --output $(BUILD)/lintel.img

## certify-image: build/certify.img, a stick that proves a machine (docs/certify.md)
certify-image: setup $(IMAGE) guests micro
	$(Q)tools/certify --esp $(BUILD)/certify
	$(Q)tools/lab image --gpt --esp $(BUILD)/certify --output $(BUILD)/certify.img

## certify: boots it in the machines that are there; CERTIFY='--machine bochs' chooses one
certify: certify-image
	$(Q)tools/certify --image $(BUILD)/certify.img $(CERTIFY)

## run: boots a stock Debian Linux under Lintel on this terminal; RUN='--cpus 2' goes to tools/lab boot
# $(MAKE) once more, so that what set-up has installed is there when the image is built.
run:
	$(Q)tools/setup build lab guests $(findstring nested,$(RUN))
	$(Q)$(MAKE) --no-print-directory esp
	$(Q)tools/run --esp $(BUILD)/esp $(GUEST_DISK:%=--guest-disk %) $(RUN)

# --- benchmarks ------------------------------------------------------------------------------

.PHONY: bench
## bench: the same operations under Lintel and under KVM, side by side; BENCH='--n 100' goes to tests/bench/exit-latency
# The same operations under Lintel and under KVM; BENCH='--n 100 --only cpuid' goes to tests/bench/exit-latency, which people may call by
# itself. Then IPIs between two CPUs, both as guests of another KVM, and a Linux beside the bare machine. What fails does not keep the
# rest from being measured. Their budgets add up to 36 minutes.
bench:
	$(Q)tools/setup build lab guests bench nested
	$(Q)$(MAKE) --no-print-directory $(IMAGE) guests exitbench kvm-run loads
	$(Q)status=0; \
	tests/bench/exit-latency --no-build $(BENCH) || status=1; \
	tests/bench/exit-latency --no-build --cpus 2 --only ipi_send,ipi,ipi_halt --sides lintel,kvm --budget 240 --output $(BUILD)/bench/two-cpus || status=1; \
	tests/bench/exit-latency --no-build --machine nested --n 100 --timeout 500 --budget 660 --output $(BUILD)/bench/nested || status=1; \
	tests/bench/linux-loads || status=1; \
	exit $$status

# --- tests -----------------------------------------------------------------------------------

# Everything that does not need the bare machine to be linked is compiled for the host as well, with
# sanitizers; a test program takes from the archive what it needs, and may bring its own instead.
HOSTCC    := clang
SANITIZE  := -fsanitize=address,undefined -fno-sanitize-recover=all
HOST_FLAGS := -std=gnu11 -Werror -O1 -g $(SANITIZE) -fno-omit-frame-pointer -Wall -Wextra -Wno-missing-field-initializers -I.
HOST_SRCS := $(filter-out boot/%,$(C_SRCS)) boot/config.c boot/config_devices.c boot/config_keys.c boot/config_order.c boot/config_text.c boot/memmap.c
HOST_OBJS := $(HOST_SRCS:%.c=$(BUILD)/host/%.o)
HOST_LIB  := $(BUILD)/host/liblintel.a
TEST_OBJS := $(patsubst %,$(BUILD)/host/tests/unit/%.o,host_support fake_x86 fake_vmcs fake_iomem)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZERS   := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

$(BUILD)/host/%.o: %.c Makefile
	$(say) HOSTCC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) $(HOST_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(HOST_LIB): $(HOST_OBJS)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/tests/unit/%: tests/unit/%.c $(HOST_LIB) $(TEST_OBJS)
	$(say) HOSTCC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) $(HOST_FLAGS) -MMD -MP -o $@ $< $(TEST_OBJS) $(HOST_LIB) -lcmocka -lZydis

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(HOST_LIB) $(TEST_OBJS)
	$(say) HOSTCC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) $(HOST_FLAGS) -fsanitize=fuzzer -MMD -MP -o $@ $< $(TEST_OBJS) $(HOST_LIB)

-include $(HOST_OBJS:.o=.d) $(TEST_OBJS:.o=.d) $(UNIT_TESTS:%=%.d) $(FUZZERS:%=%.d)

FORMATTED := $(C_SRCS) $(HEADERS) $(sort $(wildcard tests/*/*.[ch] tests/*/*/*.[ch] guests/*/*.[ch] guests/*/*/*.[ch] tools/*.[ch]))

# As many compilers as there are processors, unless the caller has said how many.
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: test test-long unit fuzzers format format-check header-check layer-check house-check spdx-check
## unit: the unit tests, build/tests/unit/*; each is a program
unit: $(UNIT_TESTS)
## fuzzers: the fuzzers, build/tests/fuzz/*, likewise
fuzzers: $(FUZZERS)

## test: every test, after installing what is missing
## test-long: those that take longer, too
# $(MAKE) once more, so that what set-up has installed is there when the rest is made.
test test-long:
	$(Q)tools/setup build lab guests test
	$(Q)$(MAKE) --no-print-directory $(JOBS) esp micro exitbench kvm-run loads unit fuzzers
	$(Q)tests/run-tests $(if $(filter test-long,$@),--long)

## format: clang-format, applied to all C sources
format:
	$(Q)clang-format -i $(FORMATTED)

## format-check: is it applied?
# Another version of clang-format has other opinions: the project's is Debian 12's.
format-check:
	$(Q)clang-format --version | grep -q 'version 14\.' || { echo "format-check: needs clang-format 14"; exit 77; }
	$(Q)clang-format --dry-run --Werror $(FORMATTED)

## header-check: does each header compile alone?
header-check:
	$(Q)for h in $(HEADERS); do \
		$(CC) $(CFLAGS) $(EFI_FLAGS) -fsyntax-only -x c "$$h" || exit 1; \
	done

## layer-check: does no room of the house use one above it?
layer-check: $(IMAGE)
	$(Q)tools/check-layers --objects $(BUILD)/image$(VARIANT)

## house-check: does docs/house.svg show the house as it is?
house-check:
	$(Q)tools/draw-house --check docs/house.svg

## spdx-check: does each source say its licence?
spdx-check:
	$(Q)tools/check-spdx

# --- pictures and figures --------------------------------------------------------------------

.PHONY: house size

## house: docs/house.svg, drawn anew from the includes of the tree
house:
	$(Q)tools/setup docs
	$(Q)tools/draw-house --svg docs/house.svg

## size: counts: files, lines and code by room, functions, the image in memory
size: $(IMAGE)
	$(Q)tools/size

# --- the rest --------------------------------------------------------------------------------

.PHONY: clean

## clean: removes build/
clean:
	$(Q)rm -rf $(BUILD)
