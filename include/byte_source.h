/*
 * byte_source.h - private to the files that read stored models: the bytes of a
 * bytea that may be large, few at a time.
 */
#ifndef MOEMLORA_BYTE_SOURCE_H
#define MOEMLORA_BYTE_SOURCE_H

/*
 * Bytes that lie in a toast table uncompressed, as ours do, are fetched slice by
 * slice; others are there already, or are decompressed as a whole at the first
 * look.
 */
typedef struct ByteSource
{
	Datum		stored;
	Size		size;			/* bytes of the value, without its head */
	bool		is_sliceable;

	/* What was looked at last */
	struct varlena *slice;		/* NULL: nothing of ours to free */
	const char *bytes;
	Size		start;			/* place of the first */
	Size		length;			/* 0: nothing yet */
} ByteSource;

/* Nothing is fetched yet. */
extern void ByteSourceOpen(ByteSource *source, Datum stored);

/*
 * The bytes from place `at` < size on; *length: how many lie there.  What has
 * to be fetched is `n` bytes, as far as there are so many.  Good until the next
 * call.
 */
extern const char *ByteSourceLook(ByteSource *source, Size at, Size n, Size *length);

extern void ByteSourceClose(ByteSource *source);

#endif							/* MOEMLORA_BYTE_SOURCE_H */
