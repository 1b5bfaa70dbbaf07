/*
 * binding.h - private to binding.c, binding_values.c, binding_json.c and
 * row_facts.c: how values of SQL types become values of the core.
 */
#ifndef MOEMLORA_BINDING_H
#define MOEMLORA_BINDING_H

#include "fmgr.h"				/* for FmgrInfo */

#include "compat.h"
#include "moemlora.h"

/* Bytes of text that are not zero-terminated. */
typedef struct TextValue
{
	const char *bytes;
	size_t		length;
} TextValue;

typedef struct TypedColumn TypedColumn;

/* How values of one scalar type are read; what is NULL cannot be had of it. */
typedef struct ColumnReader
{
	Oid			type;			/* InvalidOid: every enum */
	mml_kind	kind;			/* by default */
	int64		(*integer) (Datum value);
	double		(*number) (Datum value);
	void		(*text) (TypedColumn *column, Datum value, TextValue *text);
} ColumnReader;

/* The labels of an enum that were met, while none of them is renamed. */
typedef struct EnumLabels
{
	struct HTAB *labels;
	uint64		generation;
} EnumLabels;

/* A column of a row, or the elements of an array in it. */
struct TypedColumn
{
	const char *name;
	MemoryContext context;		/* for what is kept from row to row */
	int			index;			/* from 0 */
	Oid			type;			/* as declared */
	const ColumnReader *reader; /* of the type or of the elements; NULL: by cast */
	bool		is_array;
	Oid			element;
	int16		length;			/* of an element, as in pg_type; so below */
	bool		by_value;
	char		align;
	bool		has_cast;		/* to real[], for types of others */
	FmgrInfo	cast;
	Datum		cast_value;		/* of the present row */
	EnumLabels	enums;
	char		scratch[64];	/* text of the present value */
	float	   *numbers;		/* of the present vector */
	size_t		n_numbers;		/* that fit */
};

/* Where the value in hand goes. */
typedef struct PutTarget
{
	mml_host   *host;
	mml_rows   *rows;
	int			field;
	int64		row;
	const char *name;			/* of the feature */
} PutTarget;

/* Raises what the core found wrong with the value. */
static inline void
PutCheck(const PutTarget *target, mml_status status)
{
	if (unlikely(status != MML_OK))
	{
		mml_rows_explain(target->rows, status);
		BridgeCheckValue(target->host, status, target->row, target->name);
	}
}

typedef void (*PutValue) (TypedColumn *column, const PutTarget *target, Datum value);

/* One feature and what fills it. */
typedef struct BoundFeature
{
	char	   *name;
	mml_kind	kind;			/* of the value that comes in: numeric where there are boundaries */
	TypedColumn column;
	PutValue	put;
} BoundFeature;

struct Binding
{
	int			n_features;
	BoundFeature *features;		/* [n_features], in the model's order */
	int			last_column;	/* from 1 */
	bool		has_casts;
	MemoryContext row_context;	/* reset at every row; NULL: nothing is ever allocated */
	int		   *key_order;		/* jsonb: [n_features], the features as jsonb orders keys */
	float	   *numbers;		/* jsonb: of the present vector */
	size_t		n_numbers;
};

/* binding_values.c */

/* Describes a column of the given type; false when no feature can be made of it. */
extern bool TypedColumnInit(TypedColumn *column, const char *name, int index, Oid type);

/* The kind it has by default. */
extern mml_kind TypedColumnKind(const TypedColumn *column);

/* How its values become those of a feature of this kind; NULL: they cannot. */
extern PutValue TypedColumnPut(const TypedColumn *column, mml_kind kind);

/* Whether reading a value may allocate. */
extern bool TypedColumnAllocates(const TypedColumn *column);

/* The canonical text of a value that has an integer or a text. */
extern void TypedColumnText(TypedColumn *column, Datum value, TextValue *text);

/* binding.c */

/* The number (from 0) of the one column of that name; `role` ("label column") for messages. Raises. */
extern int	BindingFindColumn(TupleDesc desc, const char *name, const char *role);

/* "categorical" and so on. */
extern const char *BindingKindName(mml_kind kind);

/* Inside ereport(): the detail, with the place of the value behind the facts. */
extern int	BindingPlaceDetail(const PutTarget *target, const char *facts);

/* A vector needs elements, and none of them NULL (`item` from 0). */
extern void BindingCheckWidth(const PutTarget *target, int width);
pg_noreturn extern void BindingRefuseNull(const PutTarget *target, int item);

/* Room for `count` numbers, kept and grown in `context`. */
extern float *BindingNumbers(float **numbers, size_t *capacity, size_t count, MemoryContext context);

#endif							/* MOEMLORA_BINDING_H */
