/* The files that build.py made, as bytes of the program. */
#ifdef __CET__
#include <cet.h> /* or the program would not be marked as checked by the CPU */
#endif
	.section .rodata
	.globl web_page_html
	.globl web_page_html_len
	.globl web_page_csp
	.hidden web_page_html
	.hidden web_page_html_len
	.hidden web_page_csp
web_page_html:
	.incbin "web_page.html"
html_end:
web_page_csp:
	.incbin "web_page.csp"
	.byte 0
	.balign 8
web_page_html_len:
	.8byte html_end - web_page_html
	.section .note.GNU-stack, "", %progbits
