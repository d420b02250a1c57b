# Lintel. `make run` boots a stock Debian Linux under it; `make test` runs every test.
# docs/architecture.md says what the folders are.

# --- what to build ---------------------------------------------------------------------------

BUILD     := build
IMAGE     := $(BUILD)/lintel.efi
CONFIG    ?= guests/linux/lintel.conf

C_DIRS    := boot lib drivers ept vmx vioapic virtio vmm
C_SRCS    := $(sort $(wildcard $(C_DIRS:%=%/*.c)))
ASM_SRCS  := $(sort $(wildcard $(C_DIRS:%=%/*.asm)))
HEADERS   := $(sort $(wildcard $(C_DIRS:%=%/*.h)))
OBJS      := $(C_SRCS:%.c=$(BUILD)/image/%.o) $(ASM_SRCS:%.asm=$(BUILD)/image/%.asm.o)

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
             -mno-red-zone -mgeneral-regs-only $(WARNINGS) -I.
EFI_FLAGS := -isystem /usr/include/efi -isystem /usr/include/efi/x86_64 -DGNU_EFI_USE_MS_ABI
LDFLAGS   := -m i386pep -T boot/lintel.lds --subsystem 10 --image-base 0 --nxcompat --dynamicbase \
             --high-entropy-va --enable-reloc-section --no-insert-timestamp

# --- the image -------------------------------------------------------------------------------

# lintel.debug is the same image with its symbols: for addr2line and gdb.
$(IMAGE): $(OBJS) boot/lintel.lds tools/check-objects
	$(say) CHECK objects
	$(Q)tools/check-objects $(OBJS)
	$(say) LD $@
	$(Q)$(LD) $(LDFLAGS) -Map $(BUILD)/lintel.map -o $(BUILD)/lintel.debug $(OBJS)
	$(Q)$(LD) $(LDFLAGS) -s -o $@ $(OBJS)

$(BUILD)/image/boot/%.o: CFLAGS += $(EFI_FLAGS)

$(BUILD)/image/%.o: %.c Makefile
	$(say) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/image/%.asm.o: %.asm Makefile
	$(say) NASM $<
	$(Q)mkdir -p $(@D)
	$(Q)$(NASM) -f elf64 -g -F dwarf -w+all -Werror -o $@ $<

-include $(OBJS:.o=.d)

# --- guests, and a folder that boots them ----------------------------------------------------

.PHONY: guests esp image run setup

setup:
	$(Q)tools/setup build lab guests

guests:
	$(Q)tools/setup guests
	$(Q)guests/linux/build $(BUILD)/guests

esp: setup $(IMAGE) guests
	$(Q)tools/esp $(BUILD)/esp $(IMAGE) $(CONFIG) $(BUILD)/guests

image: esp
	$(Q)tools/lab image --esp $(BUILD)/esp --output $(BUILD)/lintel.img

# $(MAKE) once more, so that what set-up has installed is there when the image is built.
run:
	$(Q)tools/setup build lab guests
	$(Q)$(MAKE) --no-print-directory esp
	$(Q)tools/run --esp $(BUILD)/esp $(RUN)

# --- the rest --------------------------------------------------------------------------------

.PHONY: clean
clean:
	$(Q)rm -rf $(BUILD)
