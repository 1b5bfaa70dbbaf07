/*
 * naive.h - the naive network: one row at a time, plain loops, in double.
 * Private to naive_net.c, naive_backbones.c and naive_golden.c.
 *
 * Letters as in mml_layers.h: F fields (features, then domain last), d embedding
 * width, E experts, w width of an attention head.
 */
#ifndef NAIVE_H
#define NAIVE_H

#include <complex.h>

#include "unit.h"

#define NAIVE_MAX_TENSORS 256
#define NAIVE_MAX_WIDTH 256		/* of anything that is computed for a row */
#define NAIVE_MAX_VALUES 8		/* of one field of a row */

/*
 * A number, and as its imaginary part how it changes with the one weight at
 * which we look (see naive_golden.c).
 */
typedef double complex number;

/* [rows, cols], row-major */
typedef struct naive_tensor
{
	char		name[64];
	int			rows;
	int			cols;
	number	   *x;
	bool		has_gradient;	/* in some mode */
} naive_tensor;

/* One field of one row: an id, z, ids, or a vector. */
typedef struct naive_cell
{
	int			n;
	double		x[NAIVE_MAX_VALUES];
} naive_cell;

typedef struct naive
{
	const naive_spec *spec;
	const struct naive_backbone *backbone;
	int			n_fields;		/* F */
	naive_cell *cells;			/* [n_rows, F] */
	double	   *label;			/* [n_rows] */
	double		nearest_kink;	/* least distance from 0 that a ReLU has met, where not 0 itself */
	int			n_tensors;
	naive_tensor tensors[NAIVE_MAX_TENSORS];
	int			rank[MML_MAX_LAYERS];
	/* the tensors of MODELS.md section 4, by role */
	naive_tensor *embedding[NAIVE_MAX_FIELDS + 1];	/* projection for a projected vector */
	naive_tensor *linear[NAIVE_MAX_FIELDS + 1];
	naive_tensor *bias;
	naive_tensor *weight[MML_MAX_LAYERS];
	naive_tensor *tower_bias[MML_MAX_LAYERS];
	naive_tensor *head;
	naive_tensor *down[NAIVE_MAX_EXPERTS][MML_MAX_LAYERS];
	naive_tensor *up[NAIVE_MAX_EXPERTS][MML_MAX_LAYERS];
	naive_tensor *expert_bias[NAIVE_MAX_EXPERTS][MML_MAX_LAYERS];
	naive_tensor *gate_domain;
	naive_tensor *gate_weight;
	naive_tensor *gate_bias;
	/* those of one backbone only */
	naive_tensor *cross_weight[MML_MAX_LAYERS];
	naive_tensor *cross_bias[MML_MAX_LAYERS];
	naive_tensor *query[MML_MAX_LAYERS];
	naive_tensor *key[MML_MAX_LAYERS];
	naive_tensor *value[MML_MAX_LAYERS];
	naive_tensor *residual[MML_MAX_LAYERS];
	naive_tensor *filter[MML_MAX_LAYERS];
	naive_tensor *filter_bias[MML_MAX_LAYERS];
	naive_tensor *cin_head;
	naive_tensor *cin_head_bias;
	naive_tensor *squeeze;
	naive_tensor *excite;
	naive_tensor *bilinear_senet;
	naive_tensor *bilinear_raw;
} naive;

typedef enum naive_mode
{
	NAIVE_BACKBONE, NAIVE_LAST_EXPERT, NAIVE_OWN, NAIVE_GATE_DOMAIN, NAIVE_GATE_INPUT, NAIVE_MODES
} naive_mode;

/* ---- naive_backbones.c: section 2 of MODELS.md ---- */

/* x: [F d] the embeddings side by side.  What is NULL is not there. */
typedef struct naive_backbone
{
	const char *name;
	bool		has_linear;
	int			(*tower_width) (const naive *net);	/* of h_0; else F d */
	int			(*side_width) (const naive *net);	/* of what stands before the tower's output at the head */
	void		(*create) (naive *net);
	void		(*enter) (naive *net, const number *x, number *h);	/* h_0; else x */
	void		(*side) (naive *net, const number *x, number *out);
	number		(*add) (naive *net, const number *x);	/* to the logit */
} naive_backbone;

/* NULL = none of this name. */
extern const naive_backbone *naive_backbone_named(const char *name);

/* ---- naive_net.c: all the rest of the network ---- */

/* Adds a tensor of drawn numbers. */
extern naive_tensor *naive_add(naive *net, int rows, int cols, const char *format, ...)
			__attribute__((format(printf, 4, 5)));

/* y: [cols] = x: [n] times rows [first, first + n) of a matrix */
extern void naive_multiply(const number *x, const naive_tensor *matrix, int first, int n, number *y);

extern number naive_dot(const number *a, const number *b, int n);
extern number naive_relu(naive *net, number z);

extern void naive_create(naive *net, const naive_spec *spec);
extern void naive_free(naive *net);

extern number naive_logit(naive *net, naive_mode mode, int row);
extern number naive_loss(naive *net, naive_mode mode);	/* mean of all rows */

#endif							/* NAIVE_H */
