# SPDX-License-Identifier: BSD-2-Clause
# Micro-guests: build/micro/NAME.elf from guests/micro/NAME.c, for tests/machine/test_micro*.py.
# What they share is in guests/micro/lib/; README.md there says what a guest may rely on.

MICRO      := $(BUILD)/micro
MICRO_ELFS := $(patsubst guests/micro/%.c,$(MICRO)/%.elf,$(sort $(wildcard guests/micro/*.c)))
MICRO_LIB  := $(patsubst %,$(MICRO)/obj/%.o,$(sort $(wildcard guests/micro/lib/*.c guests/micro/lib/*.asm)) lib/string.c lib/print.c)
MICRO_FLAGS := -std=c11 -O2 -g -ffreestanding -fno-pie -mcmodel=small -fno-stack-protector -fno-strict-aliasing -fno-delete-null-pointer-checks \
               -fno-asynchronous-unwind-tables -mno-red-zone -mgeneral-regs-only $(WARNINGS) -Wno-missing-field-initializers -I. -Iguests/micro/lib

.PHONY: micro
micro: $(MICRO_ELFS)

# The code is 64-bit; the file says 32-bit, as Multiboot loaders want it.
$(MICRO)/%.elf: $(MICRO)/obj/guests/micro/%.c.o $(MICRO_LIB) guests/micro/lib/micro.lds
	$(say) MICRO $@
	$(Q)$(LD) -m elf_x86_64 -T guests/micro/lib/micro.lds -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments -o $(MICRO)/$*.elf64 $(filter %.o,$^)
	$(Q)objcopy -O elf32-i386 $(MICRO)/$*.elf64 $@

$(MICRO)/obj/%.c.o: %.c Makefile guests/micro/micro.mk
	$(say) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(MICRO_FLAGS) $(if $(filter guests/micro/,$(dir $<)),-DGUEST='"$(basename $(notdir $<))"') -MMD -MP -c -o $@ $<

$(MICRO)/obj/%.asm.o: %.asm guests/micro/micro.mk
	$(say) NASM $<
	$(Q)mkdir -p $(@D)
	$(Q)$(NASM) -f elf64 -g -F dwarf -w+all -w-unknown-warning -Werror -o $@ $<

.SECONDARY: $(MICRO_LIB) $(MICRO_ELFS:$(MICRO)/%.elf=$(MICRO)/obj/guests/micro/%.c.o)

-include $(wildcard $(MICRO)/obj/guests/micro/*.d $(MICRO)/obj/guests/micro/lib/*.d)
