/*
 * byte_source.c - the bytes of a bytea that may be large, few at a time.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "fmgr.h"

#include "byte_source.h"
#include "compat.h"

/* Whether bytes can be had from the middle without those before them: the value is stored and not compressed. */
static bool
IsSliceable(Datum stored)
{
	struct varatt_external pointer;

	if (!VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(stored)))
		return false;
	VARATT_EXTERNAL_GET_POINTER(pointer, DatumGetPointer(stored));
	/* the server's macro for this compares numbers with and without sign */
	return VARATT_EXTERNAL_GET_EXTSIZE(pointer) >= (Size) pointer.va_rawsize - VARHDRSZ;
}

void
ByteSourceOpen(ByteSource *source, Datum stored)
{
	memset(source, 0, sizeof(*source));
	source->stored = stored;
	source->size = toast_raw_datum_size(stored) - VARHDRSZ;
	source->is_sliceable = IsSliceable(stored);
}

void
ByteSourceClose(ByteSource *source)
{
	if (source->slice != NULL)
		pfree(source->slice);
	source->slice = NULL;
	source->length = 0;
}

static void
Fetch(ByteSource *source, Size at, Size n)
{
	struct varlena *stored = (struct varlena *) DatumGetPointer(source->stored);
	struct varlena *fetched;

	ByteSourceClose(source);
	source->start = source->is_sliceable ? at : 0;
	fetched = source->is_sliceable ? pg_detoast_datum_slice(stored, (int32) at, (int32) Min(n, source->size - at)) :
		pg_detoast_datum_packed(stored);
	source->slice = fetched == stored ? NULL : fetched;
	source->bytes = VARDATA_ANY(fetched);
	source->length = VARSIZE_ANY_EXHDR(fetched);
	if (at - source->start >= source->length)
		elog(ERROR, "byte %zu of a value of %zu bytes cannot be fetched", at, source->size);
}

const char *
ByteSourceLook(ByteSource *source, Size at, Size n, Size *length)
{
	Assert(at < source->size);
	if (at < source->start || at - source->start >= source->length)
		Fetch(source, at, n);
	*length = source->length - (at - source->start);
	return source->bytes + (at - source->start);
}
