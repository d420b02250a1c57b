; SPDX-License-Identifier: BSD-2-Clause
; Where the other CPUs wake up: a page below 1 MiB that ap.c copies this to. Real mode, then 64-bit
; mode in one step, with a copy of the VMM's page-table root (CR3 takes 32 bits here).
; SDM, "Switching to Real-Address Mode" has the rules backwards; the order here is that of
; "Initializing IA-32e Mode".

%define OFFSET(label) ((label) - ap_trampoline)

section .rodata

global ap_trampoline:data hidden
global ap_trampoline_end:data hidden
global ap_params:data hidden

bits 16
ap_trampoline:
	cli
	cld
	mov	ax, cs
	mov	ds, ax
	o32 lgdt [OFFSET(ap_params)]
	mov	eax, [OFFSET(ap_cr4)]
	mov	cr4, eax
	mov	eax, [OFFSET(ap_cr3)]
	mov	cr3, eax
	mov	ecx, 0xc0000080		; IA32_EFER
	rdmsr
	mov	eax, [OFFSET(ap_efer)]
	wrmsr
	mov	eax, [OFFSET(ap_cr0)]
	mov	cr0, eax		; paging and long mode are on
	o32 jmp far [OFFSET(ap_far)]

bits 64
long_mode:
	mov	ax, 0x10
	mov	ss, ax
	mov	ds, ax
	mov	es, ax
	xor	eax, eax
	mov	rdi, [rel ap_ticket_pointer]
	xchg	[rdi], rax		; struct ap_boot, for whoever is the first
	test	rax, rax
	jz	too_late
	mov	rsp, [rax]
	mov	rdi, [rax + 8]
	xor	ebp, ebp		; the end of backtraces
	call	[rax + 16]

too_late:				; nobody waits for this CPU any more
	cli
	hlt
	jmp	too_late

; struct ap_params of ap.c: filled in the copy.
align 8
ap_params:
	dw	3 * 8 - 1		; GDTR
ap_gdt_base:
	dd	0
ap_far:	dd	OFFSET(long_mode)	; ap.c adds where the page is
	dw	0x08
ap_cr0:	dd	0
ap_cr3:	dd	0
ap_cr4:	dd	0
ap_efer:	dd	0
	dd	0			; alignment
ap_ticket_pointer:	dq	0
ap_gdt_entries:	dq	0, 0x00af9b000000ffff, 0x00cf93000000ffff
ap_trampoline_end:

section .note.GNU-stack noalloc noexec nowrite progbits
