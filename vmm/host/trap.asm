; SPDX-License-Identifier: BSD-2-Clause
; The ways into trap.c: one stub for each vector, and the instructions that are allowed to fault.
; The layout that is pushed is struct trap_frame (vmm/host/trap.h).

bits 64
default rel

%include "lib/gprs.inc"

section .text

; ---- 256 stubs of 16 bytes, so that the address of each follows from its number ----

extern trap_handle
global trap_stubs:function hidden

; Vectors where the CPU itself pushes an error code. SDM volume 3, "Error Code" of each exception.
%define HAS_ERROR_CODE(v) (v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21)

align 16
trap_stubs:
%assign v 0
%rep 256
	align 16
  %if !HAS_ERROR_CODE(v)
	push 0
  %endif
	push strict dword v
	jmp trap_common
  %assign v v + 1
%endrep
	align 16

; No swapgs: there is no user mode, and a VM exit loads the VMM's own GS base.
; The CPU aligned the stack before it pushed; 22 words later it is aligned again for the call.
trap_common:
	cld
	PUSH_GPRS
	mov rdi, rsp
	call trap_handle
	POP_GPRS
	add rsp, 16 ; vector, error code
	iretq

; ---- Instructions that may fault, and where to go on then ----

; FIXUP insn, target: a line of trap_fixups. Both as distances from the line's own words, so that
; the table needs no relocation.
%macro FIXUP 2
	section .rodata.trap_fixups
	dd %1 - $
	dd %2 - $
	section .text
%endmacro

section .rodata.trap_fixups progbits alloc noexec nowrite align=4
global trap_fixups:data hidden
trap_fixups:
section .text

; bool rdmsr_safe(u32 msr, u64 *value)
global rdmsr_safe:function hidden
rdmsr_safe:
	mov ecx, edi
.insn:
	rdmsr
	shl rdx, 32
	or rax, rdx
	mov [rsi], rax
	mov eax, 1
	ret
	FIXUP .insn, refused

; bool wrmsr_safe(u32 msr, u64 value)
global wrmsr_safe:function hidden
wrmsr_safe:
	mov ecx, edi
	mov eax, esi
	mov rdx, rsi
	shr rdx, 32
.insn:
	wrmsr
	mov eax, 1
	ret
	FIXUP .insn, refused

; bool xsetbv_safe(u32 xcr, u64 value)
global xsetbv_safe:function hidden
xsetbv_safe:
	mov ecx, edi
	mov eax, esi
	mov rdx, rsi
	shr rdx, 32
.insn:
	xsetbv
	mov eax, 1
	ret
	FIXUP .insn, refused

refused:
	xor eax, eax
	ret

section .rodata.trap_fixups
	dd 0, 0 ; the end
section .text

; ---- Loading what only a far return or a jump can load ----

; void cpu_load_segments(u64 code, u64 data, u64 tss)
global cpu_load_segments:function hidden
cpu_load_segments:
	mov ds, esi
	mov es, esi
	mov ss, esi
	xor eax, eax
	mov fs, eax
	mov gs, eax
	ltr dx
	pop rax
	push rdi
	push rax
	retfq

; void cpu_switch_stack(u64 top, void (*fn)(void *arg), void *arg), does not return.
; RBP and the return address of 0 end a backtrace.
global cpu_switch_stack:function hidden
cpu_switch_stack:
	mov rsp, rdi
	xor ebp, ebp
	mov rdi, rdx
	push 0
	jmp rsi

section .note.GNU-stack noalloc noexec nowrite progbits
