/*
 * mml_inner.h - what the interactions keep of a batch between forward, backward
 * and the gradients of their tensors.  Private to trainer/ and its unit tests.
 *
 * Letters as in mml_layers.h; H_l maps of CIN's layer l, m width of SENet.
 */
#ifndef MML_INNER_H
#define MML_INNER_H

#include "mml.h"

typedef struct mml_fm_batch
{
	float	   *sum;			/* [B, d] sum of the embeddings */
} mml_fm_batch;

typedef struct mml_cross_batch
{
	float	   *x[MML_MAX_LAYERS + 1];	/* [B, Fd] x[0] = x, the last one is the side block */
	float	   *dx[MML_MAX_LAYERS + 1]; /* [B, Fd] gradients at them, from 1 */
	float	   *s[MML_MAX_LAYERS];	/* [B] x_l weight */
	float	   *ds[MML_MAX_LAYERS];
} mml_cross_batch;

typedef struct mml_attention_batch
{
	float	   *v[MML_MAX_LAYERS + 1];	/* [B F, d or heads w] v[0] = x, the last one is the side block */
	float	   *projections[MML_MAX_LAYERS];	/* [B F, 4 heads w] query, key, value, residual; in the end gradients */
	float	   *weights[MML_MAX_LAYERS];	/* [B, heads, F, F padded] after softmax; backward only */
	float	   *dv;				/* [B F, heads w] gradient at the layer's output */
} mml_attention_batch;

typedef struct mml_cin_batch
{
	float	   *x;				/* [B d, F] the columns of V */
	float	   *dx;
	float	   *maps[MML_MAX_LAYERS];	/* [B d, H_l] after ReLU */
	float	   *dmaps[MML_MAX_LAYERS];
	float	   *pooled;			/* [B, width of q] */
} mml_cin_batch;

typedef struct mml_bilinear_batch
{
	float	   *mean;			/* [B, F] */
	float	   *squeezed;		/* [B, m] */
	float	   *scale;			/* [B, F] a */
	float	   *scaled;			/* [B, Fd] a_f v_f */
	float	   *dsqueezed;
	float	   *dscale;
	float	   *dscaled;
	float	   *dmean;
} mml_bilinear_batch;

/* Of each model one of these is used. */
typedef union mml_inner
{
	mml_fm_batch fm;
	mml_cross_batch cross;
	mml_attention_batch attention;
	mml_cin_batch cin;
	mml_bilinear_batch bilinear;
} mml_inner;

#endif							/* MML_INNER_H */
