# Lintel. `make run` boots a stock Debian Linux under it; `make test` runs every test.
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
CFLAGS    := -std=c11 -O2 -g -ffreestanding -fpie -include boot/hidden.h -fno-stack-protector \
             -fno-strict-aliasing -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
             -mno-red-zone -mgeneral-regs-only $(WARNINGS) $(if $(VMCS_COUNTS),-DVMCS_COUNTS=1) -I.
EFI_FLAGS := -isystem /usr/include/efi -isystem /usr/include/efi/x86_64 -DGNU_EFI_USE_MS_ABI
LDFLAGS   := -m i386pep -T boot/lintel.lds --subsystem 10 --image-base 0 --nxcompat --dynamicbase \
             --high-entropy-va --enable-reloc-section --no-insert-timestamp

# --- the image -------------------------------------------------------------------------------

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

# --- guests, and a folder that boots them ----------------------------------------------------

.PHONY: guests esp image run setup

setup:
	$(Q)tools/setup build lab guests

# The guest's disk, for configurations that name a partition.
GUEST_DISK = $(if $(shell grep -s '^[[:space:]]*disk[[:space:]]*=[[:space:]]*part:' $(CONFIG)),$(BUILD)/guests/debian.img)

guests:
	$(Q)tools/setup guests
	$(Q)guests/linux/build $(BUILD)/guests
	$(Q)$(if $(GUEST_DISK),guests/linux/rootfs $(BUILD)/guests)

esp: setup $(IMAGE) guests
	$(Q)tools/esp $(BUILD)/esp $(IMAGE) $(CONFIG) $(BUILD)/guests

image: esp
	$(Q)tools/lab image --esp $(BUILD)/esp $(GUEST_DISK:%=--partitions %) --output $(BUILD)/lintel.img

# $(MAKE) once more, so that what set-up has installed is there when the image is built.
run:
	$(Q)tools/setup build lab guests
	$(Q)$(MAKE) --no-print-directory esp
	$(Q)tools/run --esp $(BUILD)/esp $(GUEST_DISK:%=--guest-disk %) $(RUN)

# --- benchmarks ------------------------------------------------------------------------------

.PHONY: bench
# The same operations under Lintel and under KVM; BENCH='--n 100 --only cpuid' goes to tests/bench/exit-latency, which people may call by
# itself. Then IPIs between two CPUs, and a Linux beside the bare machine. What fails does not keep the rest from being measured. Their
# budgets add up to 25 minutes.
bench:
	$(Q)tools/setup build lab guests bench
	$(Q)$(MAKE) --no-print-directory $(IMAGE) guests exitbench kvm-run loads
	$(Q)status=0; \
	tests/bench/exit-latency --no-build $(BENCH) || status=1; \
	tests/bench/exit-latency --no-build --cpus 2 --only ipi_send,ipi,ipi_halt --sides lintel,kvm --budget 240 --output $(BUILD)/bench/two-cpus || status=1; \
	tests/bench/linux-loads || status=1; \
	exit $$status

# --- tests -----------------------------------------------------------------------------------

# Everything that does not need the bare machine to be linked is compiled for the host as well, with
# sanitizers; a test program takes from the archive what it needs, and may bring its own instead.
HOSTCC    := clang
SANITIZE  := -fsanitize=address,undefined -fno-sanitize-recover=all
HOST_FLAGS := -std=gnu11 -Werror -O1 -g $(SANITIZE) -fno-omit-frame-pointer -Wall -Wextra -Wno-missing-field-initializers -I.
HOST_SRCS := $(filter-out boot/% drivers/lapic.c,$(C_SRCS)) boot/config.c boot/config_devices.c boot/config_keys.c boot/memmap.c
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

.PHONY: test test-long unit fuzzers format format-check header-check layer-check size
unit: $(UNIT_TESTS)
fuzzers: $(FUZZERS)

# $(MAKE) once more, so that what set-up has installed is there when the rest is made.
test test-long:
	$(Q)tools/setup build lab guests test
	$(Q)$(MAKE) --no-print-directory esp micro exitbench kvm-run loads unit fuzzers
	$(Q)tests/run-tests $(if $(filter test-long,$@),--long)

format:
	$(Q)clang-format -i $(FORMATTED)

# Another version of clang-format has other opinions: the project's is Debian 12's.
format-check:
	$(Q)clang-format --version | grep -q 'version 14\.' || { echo "format-check: needs clang-format 14"; exit 77; }
	$(Q)clang-format --dry-run --Werror $(FORMATTED)

header-check:
	$(Q)for h in $(HEADERS); do \
		$(CC) $(CFLAGS) $(EFI_FLAGS) -fsyntax-only -x c "$$h" || exit 1; \
	done

layer-check: $(IMAGE)
	$(Q)tools/check-layers --objects $(BUILD)/image$(VARIANT)

size: $(IMAGE)
	$(Q)tools/size

# --- the rest --------------------------------------------------------------------------------

.PHONY: clean
clean:
	$(Q)rm -rf $(BUILD)
