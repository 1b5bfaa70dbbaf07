/*
 * naive_golden.c - golden files (MODELS.md section 7) of the naive network, of
 * any shape, so that the reader and the core meet more shapes than the files of
 * the independent implementation have.
 *
 * Gradients: a weight is given an imaginary part so small that it vanishes
 * beside any real one; that of the loss, divided by it, is the derivative
 * (complex-step differentiation; Squire and Trapp, SIAM Review 40, 1998).
 * Nothing is subtracted and no step moves a ReLU over its kink, so that the
 * result is right to the rounding of a double.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "naive.h"

#define STEP 1e-30
#define ROUNDING 1e-13			/* a tensor whose derivatives are all smaller has none */
#define NEAR_KINK 1e-5			/* where a float may take the other side of a ReLU */

static void
write_input(FILE *to, const naive *net, int f)
{
	const naive_spec *spec = net->spec;
	bool		is_multi = f < spec->n_fields && spec->fields[f].kind == MML_MULTI;

	fprintf(to, f == spec->n_fields ? "input domain" : "input f%d", f);
	for (int row = 0; row < spec->n_rows; row++)
	{
		const naive_cell *cell = &net->cells[row * net->n_fields + f];

		if (is_multi)
			fputs(" {", to);
		for (int i = 0; i < cell->n; i++)
			fprintf(to, "%s%.9g", !is_multi ? " " : i > 0 ? "," : "", cell->x[i]);
		if (is_multi)
			fputs("}", to);
	}
	fputs("\n", to);
}

static void
write_list(FILE *to, const char *key, int n, const int *list)
{
	fputs(key, to);
	for (int i = 0; i < n; i++)
		fprintf(to, " %d", list[i]);
	fputs("\n", to);
}

static void
write_sizes(FILE *to, const naive *net)
{
	const naive_spec *spec = net->spec;

	fprintf(to, "moemlora-golden 1\nbackbone %s\ndim %d\n", spec->backbone, spec->dim);
	write_list(to, "hidden", spec->n_layers, spec->hidden);
	fprintf(to, "lora_reduce %d\nrows %d\ndomains %d\nexperts %d\n", spec->lora_reduce, spec->n_rows,
			spec->n_domains, spec->n_experts);
	if (net->cross_weight[0] != NULL)
		fprintf(to, "cross_layers %d\n", spec->cross_layers);
	if (net->query[0] != NULL)
		fprintf(to, "attention_layers %d\nattention_heads %d\nattention_dim %d\n", spec->attention_layers,
				spec->attention_heads, spec->attention_dim);
	if (net->filter[0] != NULL)
		write_list(to, "cin", spec->n_cin, spec->cin);
}

static void
write_rows(FILE *to, const naive *net)
{
	static const char *const kinds[] = {"categorical", "numeric", "multi", "vector"};
	const naive_spec *spec = net->spec;

	for (int f = 0; f < spec->n_fields; f++)
		fprintf(to, "field f%d %s %d\n", f, kinds[spec->fields[f].kind], spec->fields[f].size);
	fprintf(to, "field domain categorical %d\n", spec->n_domains);
	for (int f = 0; f < net->n_fields; f++)
		write_input(to, net, f);
	fputs("label", to);
	for (int row = 0; row < spec->n_rows; row++)
		fprintf(to, " %.9g", net->label[row]);
	fputs("\n", to);
}

/* The real parts, or the derivatives. */
static void
write_tensor(FILE *to, const char *key, const naive_tensor *of, const number *x)
{
	fprintf(to, "%s %s %d %d", key, of->name, of->rows, of->cols);
	for (int i = 0; i < of->rows * of->cols; i++)
		fprintf(to, " %.9g", creal(x[i]));
	fputs("\n", to);
}

static void
write_gradient(FILE *to, naive *net, naive_mode mode, naive_tensor *of)
{
	int			n = of->rows * of->cols;
	number	   *gradient = malloc((size_t) n * sizeof(number));
	double		largest = 0.0;

	for (int i = 0; i < n; i++)
	{
		of->x[i] += STEP * I;
		gradient[i] = cimag(naive_loss(net, mode)) / STEP;
		of->x[i] = creal(of->x[i]);
		largest = fmax(largest, fabs(creal(gradient[i])));
	}
	if (largest > ROUNDING)
	{
		write_tensor(to, "grad", of, gradient);
		of->has_gradient = true;
	}
	free(gradient);
}

static void
write_mode(FILE *to, naive *net, naive_mode mode)
{
	static const char *const names[] = {"backbone", NULL, "own", "gate.domain", "gate.input"};

	if (mode == NAIVE_LAST_EXPERT)
		fprintf(to, "mode expert.%d\nlogit", net->spec->n_experts - 1);
	else
		fprintf(to, "mode %s\nlogit", names[mode]);
	for (int row = 0; row < net->spec->n_rows; row++)
		fprintf(to, " %.9g", creal(naive_logit(net, mode, row)));
	fprintf(to, "\nloss %.9g\n", creal(naive_loss(net, mode)));
	for (int i = 0; i < net->n_tensors; i++)
		write_gradient(to, net, mode, &net->tensors[i]);
}

/* Whether the file can be held against floats, and says something about every tensor. */
static bool
is_worth_checking(const naive *net)
{
	int			n_without = 0;

	for (int i = 0; i < net->n_tensors; i++)
		n_without += !net->tensors[i].has_gradient;
	/* the weight of a single expert is always 1: its gates have no gradient */
	return net->nearest_kink > NEAR_KINK && n_without == (net->spec->n_experts == 1 ? 3 : 0);
}

bool
naive_write_golden(const naive_spec *spec, const char *path)
{
	static naive net;
	FILE	   *to = fopen(path, "w");
	bool		is_good;

	if (to == NULL)
		return false;
	naive_create(&net, spec);
	write_sizes(to, &net);
	write_rows(to, &net);
	for (int i = 0; i < net.n_tensors; i++)
		write_tensor(to, "tensor", &net.tensors[i], net.tensors[i].x);
	for (naive_mode mode = 0; mode < NAIVE_MODES; mode++)
		write_mode(to, &net, mode);
	fputs("end\n", to);
	is_good = is_worth_checking(&net);
	naive_free(&net);
	return fclose(to) == 0 && is_good;
}
