; SPDX-License-Identifier: BSD-2-Clause
; Where Multiboot enters: keep what the loader left in the registers, then long mode with 4 GiB mapped one to one.

%define MB_MAGIC 0x1badb002
%define MB_FLAGS 3              ; modules page-aligned, memory map wanted

section .multiboot progbits alloc noexec nowrite align=4
	dd MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

section .boot progbits alloc exec nowrite align=16
bits 32
global _start
_start:
	mov [entry_regs + 0], eax
	mov [entry_regs + 8], ebx
	mov [entry_regs + 16], ecx
	mov [entry_regs + 24], edx
	mov [entry_regs + 32], esi
	mov [entry_regs + 40], edi
	mov [entry_regs + 48], ebp
	mov [entry_regs + 56], esp
	mov esp, stack_top
	pushfd
	pop dword [entry_eflags]
	mov eax, cr0
	mov [entry_cr0], eax
	mov eax, cr2
	mov [entry_cr2], eax
	mov eax, cr3
	mov [entry_cr3], eax
	mov eax, cr4
	mov [entry_cr4], eax

	; Page tables: PML4 -> PDPT -> four page directories of 2 MiB pages, user-accessible.
	mov dword [pml4], pdpt + 7
	mov dword [pml4 + 8], window_pdpt + 7
	mov dword [window_pdpt], window_pd + 7
	mov dword [window_pd], window_pt + 7
	mov eax, page_dirs + 7
	xor edi, edi
.pdpte:
	mov [pdpt + edi * 8], eax
	add eax, 4096
	inc edi
	cmp edi, 4
	jb .pdpte
	mov eax, 0x87
	xor edi, edi
.pde:
	mov [page_dirs + edi * 8], eax
	add eax, 1 << 21
	inc edi
	cmp edi, 2048
	jb .pde

	mov eax, pml4
	mov cr3, eax
	mov eax, cr4
	or eax, 1 << 5          ; PAE
	mov cr4, eax
	mov ecx, 0xc0000080     ; EFER.LME
	rdmsr
	or eax, 1 << 8
	wrmsr
	mov eax, cr0
	or eax, 1 << 31 | 1
	mov cr0, eax
	lgdt [gdt_pointer]
	jmp 0x08:long_mode

bits 64
long_mode:
	mov [entry_regs + 64], r8
	mov [entry_regs + 72], r9
	mov [entry_regs + 80], r10
	mov [entry_regs + 88], r11
	mov [entry_regs + 96], r12
	mov [entry_regs + 104], r13
	mov [entry_regs + 112], r14
	mov [entry_regs + 120], r15
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov fs, ax
	mov gs, ax
	mov eax, task_state     ; the descriptor's base: below 16 MiB
	mov [gdt_tss + 2], ax
	shr eax, 16
	mov [gdt_tss + 4], al
	mov ax, 0x40
	ltr ax
	extern micro_start
	xor ebp, ebp
	call micro_start
.halt:
	cli
	hlt
	jmp .halt

; --- descriptors ---

section .data
align 16
global gdt
gdt:
	dq 0
	dq 0x00af9b000000ffff   ; 08: 64-bit code
	dq 0x00cf93000000ffff   ; 10: data
	dq 0x00cf9b000000ffff   ; 18: 32-bit code
	dq 0x00cff3000000ffff   ; 20: user data
	dq 0x00affb000000ffff   ; 28: user 64-bit code
	dq 0x00009b000000ffff   ; 30: 16-bit code
	dq 0x000093000000ffff   ; 38: 16-bit data
gdt_tss:
	dq 0x0000890000000067, 0 ; 40: TSS
	dq 0x00008b000000ffff   ; 50: spare, for tests
	dq 0
gdt_end:

global gdt_pointer
gdt_pointer:
	dw gdt_end - gdt - 1
	dq gdt

align 16
global task_state
task_state:
	dd 0
	dq trap_stack_top, 0, 0 ; RSP0-2
	dq 0
	dq ist_stack_top, 0, 0, 0, 0, 0, 0
	dq 0
	dw 0, 104               ; no I/O bitmap

; --- exceptions and interrupts ---

section .text
%assign vector 0
%rep 256
	align 16
trap_%+vector:
%if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	push 0
%endif
	push vector
	jmp trap_common
%assign vector vector + 1
%endrep

extern trap
trap_common:
	push rax
	push rcx
	push rdx
	push rbx
	push rbp
	push rsi
	push rdi
	push r8
	push r9
	push r10
	push r11
	push r12
	push r13
	push r14
	push r15
	cld
	mov rdi, rsp
	mov rbp, rsp
	and rsp, -16
	call trap
	mov rsp, rbp
	pop r15
	pop r14
	pop r13
	pop r12
	pop r11
	pop r10
	pop r9
	pop r8
	pop rdi
	pop rsi
	pop rbp
	pop rbx
	pop rdx
	pop rcx
	pop rax
	add rsp, 16
	iretq

; void user_enter(u64 rip, u64 rsp, u64 rflags): returns by user_leave, which a trap from ring 3 calls.
global user_enter, user_leave
user_enter:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	mov [kernel_rsp], rsp
	push 0x23
	push rsi
	push rdx
	push 0x2b
	push rdi
	iretq

user_leave:
	mov rsp, [kernel_rsp]
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

section .rodata
align 8
global trap_entries
trap_entries:
%assign vector 0
%rep 256
	dq trap_%+vector
%assign vector vector + 1
%endrep

section .bss
alignb 4096
global pml4, pdpt, page_dirs, window_pt
pml4:         resb 4096
pdpt:         resb 4096
page_dirs:    resb 4 * 4096
window_pdpt:  resb 4096
window_pd:    resb 4096
window_pt:    resb 4096
              resb 16384
global stack_top
stack_top:
              resb 8192
global trap_stack_top
trap_stack_top:
              resb 8192
ist_stack_top:
global entry_regs, entry_eflags, entry_cr0, entry_cr2, entry_cr3, entry_cr4
entry_regs:   resq 16           ; in the order rax rbx rcx rdx rsi rdi rbp rsp r8-r15
entry_eflags: resd 1
entry_cr0:    resd 1
entry_cr2:    resd 1
entry_cr3:    resd 1
entry_cr4:    resd 1
alignb 8
kernel_rsp:   resq 1
