# SPDX-License-Identifier: BSD-2-Clause
# A Linux that does some work and tells how long it took: build/loads/initrd.img, with one program in it.

LOADS := $(BUILD)/loads

.PHONY: loads
loads: $(LOADS)/initrd.img

$(LOADS)/loads: guests/loads/loads.c guests/loads/loads.mk
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -Wall -Wextra -Wshadow -Werror -static -s -o $@ $<

# One date: the same input gives the same bytes.
$(LOADS)/initrd.img: $(LOADS)/loads
	$(Q)rm -rf $(LOADS)/root && mkdir -p $(LOADS)/root/tmp && cp $< $(LOADS)/root/loads
	$(Q)find $(LOADS)/root -exec touch -h -d @1000000000 {} +
	$(Q)(cd $(LOADS)/root && find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc -R 0:0) > $@
