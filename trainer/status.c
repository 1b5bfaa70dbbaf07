/*
 * status.c - the error text that a failing call leaves in the host.
 */
#include <stdarg.h>
#include <stdio.h>				/* for vsnprintf only: nothing is printed */
#include <string.h>

#include "mml_math.h"

mml_status
mml_fail(mml_host *host, mml_status status, const char *format, ...)
{
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(host->error.message, sizeof(host->error.message), format, arguments);
	va_end(arguments);
	host->error.detail[0] = '\0';
	host->error.hint[0] = '\0';
	return status;
}

void
mml_fail_detail(mml_host *host, const char *format, ...)
{
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(host->error.detail, sizeof(host->error.detail), format, arguments);
	va_end(arguments);
}

void
mml_fail_hint(mml_host *host, const char *format, ...)
{
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(host->error.hint, sizeof(host->error.hint), format, arguments);
	va_end(arguments);
}

void
mml_format(char *buffer, size_t size, const char *format, ...)
{
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(buffer, size, format, arguments);
	va_end(arguments);
}

mml_status
mml_poll(mml_host *host)
{
	if (host->poll != NULL && host->poll(host->self))
		return mml_fail(host, MML_CANCELLED, "training was cancelled");
	return MML_OK;
}

void
mml_copy_text(char *to, size_t size, const char *from, size_t length)
{
	if (length >= size)
	{
		length = size - 1;
		while (length > 0 && ((unsigned char) from[length] & 0xC0) == 0x80)
			length--;
	}
	memcpy(to, from, length);
	to[length] = '\0';
}
