/*
 * naive_net.c - mlp and wdl in the plainest way: one row, double precision, a
 * loop over the experts, gradients by central differences.  It writes golden
 * files of any shape, so that the reader and the network meet more shapes than
 * the files of the independent implementation have.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MAX_TENSORS 256
#define MAX_WIDTH 64
#define STEP 1e-6

typedef struct tensor
{
	char		name[64];
	int			rows;
	int			cols;
	double	   *x;
} tensor;

typedef struct naive
{
	const naive_spec *spec;
	int			n_tensors;
	tensor		tensors[MAX_TENSORS];
	int			rank[MML_MAX_LAYERS];
	/* the tensors of MODELS.md section 4, by role; the last field is the domain */
	tensor	   *embedding[NAIVE_MAX_FIELDS + 1];	/* projection for a projected vector */
	tensor	   *linear[NAIVE_MAX_FIELDS + 1];
	tensor	   *bias;
	tensor	   *weight[MML_MAX_LAYERS];
	tensor	   *tower_bias[MML_MAX_LAYERS];
	tensor	   *head;
	tensor	   *down[NAIVE_MAX_EXPERTS][MML_MAX_LAYERS];
	tensor	   *up[NAIVE_MAX_EXPERTS][MML_MAX_LAYERS];
	tensor	   *expert_bias[NAIVE_MAX_EXPERTS][MML_MAX_LAYERS];
	tensor	   *gate_domain;
	tensor	   *gate_weight;
	tensor	   *gate_bias;
} naive;

typedef enum naive_mode
{
	BACKBONE, LAST_EXPERT, OWN, GATE_DOMAIN, GATE_INPUT, N_NAIVE_MODES
} naive_mode;

/* ------------------------------------------------------------------ tensors */

/* Numbers that a %.9g and a float keep. */
static double
draw(uint64_t key, uint64_t n, double scale)
{
	return (float) (scale * mml_normal(key, n));
}

static tensor *
add(naive *net, int rows, int cols, const char *format, ...)
{
	tensor	   *to = &net->tensors[net->n_tensors++];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(to->name, sizeof(to->name), format, arguments);
	va_end(arguments);
	to->rows = rows;
	to->cols = cols;
	to->x = malloc((size_t) (rows * cols) * sizeof(double));
	for (int i = 0; i < rows * cols; i++)
		to->x[i] = draw(mml_combine(net->spec->seed, (uint64_t) net->n_tensors), (uint64_t) i, 0.4);
	return to;
}

static void
create(naive *net, const naive_spec *spec)
{
	int			width = (spec->n_fields + 1) * spec->dim;
	int			in = width;

	memset(net, 0, sizeof(*net));
	net->spec = spec;
	for (int f = 0; f <= spec->n_fields; f++)
	{
		bool		is_domain = f == spec->n_fields;
		bool		is_vector = !is_domain && spec->fields[f].kind == MML_VECTOR;
		int			size = is_domain ? spec->n_domains : spec->fields[f].size;
		char		name[16];

		snprintf(name, sizeof(name), is_domain ? "domain" : "f%d", f);
		if (!is_vector || spec->fields[f].project)
			net->embedding[f] = add(net, size, spec->dim, "%s.%s", is_vector ? "projection" : "embedding", name);
		if (!is_vector && spec->has_linear)
			net->linear[f] = add(net, size, 1, "linear.%s", name);
	}
	net->bias = add(net, 1, 1, "bias");
	for (int l = 0; l < spec->n_layers; in = spec->hidden[l++])
	{
		net->rank[l] = spec->hidden[l] / spec->lora_reduce > 1 ? spec->hidden[l] / spec->lora_reduce : 1;
		net->weight[l] = add(net, in, spec->hidden[l], "tower.%d.weight", l);
		net->tower_bias[l] = add(net, 1, spec->hidden[l], "tower.%d.bias", l);
		for (int e = 0; e < spec->n_experts; e++)
		{
			net->down[e][l] = add(net, in, net->rank[l], "expert.%d.tower.%d.down", e, l);
			net->up[e][l] = add(net, net->rank[l], spec->hidden[l], "expert.%d.tower.%d.up", e, l);
			net->expert_bias[e][l] = add(net, 1, spec->hidden[l], "expert.%d.tower.%d.bias", e, l);
		}
	}
	net->head = add(net, in, 1, "head.weight");
	net->gate_domain = add(net, spec->n_domains, spec->n_experts, "gate.domain");
	net->gate_weight = add(net, width, spec->n_experts, "gate.input.weight");
	net->gate_bias = add(net, 1, spec->n_experts, "gate.input.bias");
}

/* -------------------------------------------------------------------- rows */

static int
domain_of(const naive_spec *spec, int row)
{
	return (int) mml_below(spec->seed + 1, (uint64_t) row, (uint64_t) spec->n_domains);
}

/* The numbers of a field of a row: an id, z, ids, or a vector; how many. */
static int
values_of(const naive_spec *spec, int row, int f, double *values)
{
	uint64_t	key = mml_combine(spec->seed + 2, (uint64_t) (row * 64 + f));
	int			n = 1;

	if (f < spec->n_fields && spec->fields[f].kind == MML_MULTI)
		n = (int) mml_below(key, 99, 4);
	if (f < spec->n_fields && spec->fields[f].kind == MML_VECTOR)
		n = spec->fields[f].size;
	for (int i = 0; i < n; i++)
	{
		if (f == spec->n_fields)
			values[i] = domain_of(spec, row);
		else if (spec->fields[f].kind == MML_NUMERIC || spec->fields[f].kind == MML_VECTOR)
			values[i] = draw(key, (uint64_t) i, 1.0);
		else
			values[i] = (double) mml_below(key, (uint64_t) i, (uint64_t) spec->fields[f].size);
	}
	return n;
}

static double
label_of(const naive_spec *spec, int row)
{
	return row % 3 == 2 ? 0.25 : (double) mml_below(spec->seed + 3, (uint64_t) row, 2);
}

/* ----------------------------------------------------------------- forward */

/* v_f into v: [dim]; returns the linear term. */
static double
embed(const naive *net, int row, int f, double *v)
{
	const naive_spec *spec = net->spec;
	mml_kind	kind = f == spec->n_fields ? MML_CATEGORICAL : spec->fields[f].kind;
	double		values[MAX_WIDTH];
	int			n = values_of(spec, row, f, values);
	double		sum = 0.0;

	memset(v, 0, (size_t) spec->dim * sizeof(double));
	for (int i = 0; i < n; i++)
	{
		int			at = kind == MML_NUMERIC ? 0 : kind == MML_VECTOR ? i : (int) values[i];
		double		scale = kind == MML_NUMERIC || kind == MML_VECTOR ? values[i] : 1.0 / n;

		if (net->embedding[f] == NULL)
		{
			v[i] = values[i];
			continue;
		}
		for (int j = 0; j < spec->dim; j++)
			v[j] += scale * net->embedding[f]->x[at * spec->dim + j];
		if (net->linear[f] != NULL)
			sum += scale * net->linear[f]->x[at];
	}
	return sum;
}

static void
weigh_experts(const naive *net, naive_mode mode, int domain, const double *x, double *g)
{
	const naive_spec *spec = net->spec;
	int			e = spec->n_experts;
	int			k = e / spec->n_domains;
	double		sum = 0.0;

	for (int i = 0; i < e; i++)
	{
		if (mode == BACKBONE)
			g[i] = 0.0;
		else if (mode == LAST_EXPERT)
			g[i] = i == e - 1;
		else if (mode == OWN)
			g[i] = i / k == domain ? 1.0 / k : 0.0;
		else if (mode == GATE_DOMAIN)
			g[i] = exp(net->gate_domain->x[domain * e + i]);
		else
		{
			g[i] = net->gate_bias->x[i];
			for (int j = 0; j < net->gate_weight->rows; j++)
				g[i] += x[j] * net->gate_weight->x[j * e + i];
			g[i] = exp(g[i]);
		}
		sum += g[i];
	}
	for (int i = 0; mode >= GATE_DOMAIN && i < e; i++)
		g[i] /= sum;
}

/* h W + c + sum_e g_e [(h down) up + bias], then ReLU. */
static void
run_layer(const naive *net, int l, const double *g, const double *h, double *out)
{
	int			n_in = net->weight[l]->rows;
	int			n_out = net->weight[l]->cols;
	int			r = net->rank[l];

	for (int j = 0; j < n_out; j++)
	{
		out[j] = net->tower_bias[l]->x[j];
		for (int i = 0; i < n_in; i++)
			out[j] += h[i] * net->weight[l]->x[i * n_out + j];
	}
	for (int e = 0; e < net->spec->n_experts; e++)
		for (int j = 0; g[e] != 0.0 && j < n_out; j++)
		{
			out[j] += g[e] * net->expert_bias[e][l]->x[j];
			for (int q = 0; q < r; q++)
				for (int i = 0; i < n_in; i++)
					out[j] += g[e] * h[i] * net->down[e][l]->x[i * r + q] * net->up[e][l]->x[q * n_out + j];
		}
	for (int j = 0; j < n_out; j++)
		out[j] = out[j] > 0.0 ? out[j] : 0.0;
}

static double
logit_of(const naive *net, naive_mode mode, int row)
{
	const naive_spec *spec = net->spec;
	double		h[MML_MAX_LAYERS + 1][MAX_WIDTH];
	double		g[NAIVE_MAX_EXPERTS];
	double		z = net->bias->x[0];

	for (int f = 0; f <= spec->n_fields; f++)
		z += embed(net, row, f, h[0] + f * spec->dim);
	weigh_experts(net, mode, domain_of(spec, row), h[0], g);
	for (int l = 0; l < spec->n_layers; l++)
		run_layer(net, l, g, h[l], h[l + 1]);
	for (int i = 0; i < net->head->rows; i++)
		z += h[spec->n_layers][i] * net->head->x[i];
	return z;
}

static double
loss_of(const naive *net, naive_mode mode)
{
	double		sum = 0.0;

	for (int row = 0; row < net->spec->n_rows; row++)
	{
		double		p = 1.0 / (1.0 + exp(-logit_of(net, mode, row)));
		double		y = label_of(net->spec, row);

		sum -= y * log(p) + (1.0 - y) * log(1.0 - p);
	}
	return sum / net->spec->n_rows;
}

/* ------------------------------------------------------------------- write */

static void
write_input(FILE *to, const naive_spec *spec, int f)
{
	bool		is_multi = f < spec->n_fields && spec->fields[f].kind == MML_MULTI;

	fprintf(to, f == spec->n_fields ? "input domain" : "input f%d", f);
	for (int row = 0; row < spec->n_rows; row++)
	{
		double		values[MAX_WIDTH];
		int			n = values_of(spec, row, f, values);

		if (is_multi)
			fputs(" {", to);
		for (int i = 0; i < n; i++)
			fprintf(to, "%s%.9g", !is_multi ? " " : i > 0 ? "," : "", values[i]);
		if (is_multi)
			fputs("}", to);
	}
	fputs("\n", to);
}

static void
write_head(FILE *to, const naive *net)
{
	static const char *const kinds[] = {"categorical", "numeric", "multi", "vector"};
	const naive_spec *spec = net->spec;

	fprintf(to, "moemlora-golden 1\nbackbone %s\ndim %d\nhidden", spec->has_linear ? "wdl" : "mlp", spec->dim);
	for (int l = 0; l < spec->n_layers; l++)
		fprintf(to, " %d", spec->hidden[l]);
	fprintf(to, "\nlora_reduce %d\nrows %d\ndomains %d\nexperts %d\n", spec->lora_reduce, spec->n_rows,
			spec->n_domains, spec->n_experts);
	for (int f = 0; f < spec->n_fields; f++)
		fprintf(to, "field f%d %s %d\n", f, kinds[spec->fields[f].kind], spec->fields[f].size);
	fprintf(to, "field domain categorical %d\n", spec->n_domains);
	for (int f = 0; f <= spec->n_fields; f++)
		write_input(to, spec, f);
	fputs("label", to);
	for (int row = 0; row < spec->n_rows; row++)
		fprintf(to, " %.9g", label_of(spec, row));
	fputs("\n", to);
}

static void
write_tensor(FILE *to, const char *key, const tensor *of, const double *x)
{
	fprintf(to, "%s %s %d %d", key, of->name, of->rows, of->cols);
	for (int i = 0; i < of->rows * of->cols; i++)
		fprintf(to, " %.9g", x[i]);
	fputs("\n", to);
}

static void
write_gradient(FILE *to, naive *net, naive_mode mode, tensor *of)
{
	int			n = of->rows * of->cols;
	double	   *gradient = malloc((size_t) n * sizeof(double));
	bool		is_zero = true;

	for (int i = 0; i < n; i++)
	{
		double		held = of->x[i];

		of->x[i] = held + STEP;
		gradient[i] = loss_of(net, mode);
		of->x[i] = held - STEP;
		gradient[i] = (gradient[i] - loss_of(net, mode)) / (2 * STEP);
		of->x[i] = held;
		is_zero = is_zero && gradient[i] == 0.0;
	}
	if (!is_zero)
		write_tensor(to, "grad", of, gradient);
	free(gradient);
}

static void
write_mode(FILE *to, naive *net, naive_mode mode)
{
	static const char *const names[] = {"backbone", NULL, "own", "gate.domain", "gate.input"};

	if (mode == LAST_EXPERT)
		fprintf(to, "mode expert.%d\nlogit", net->spec->n_experts - 1);
	else
		fprintf(to, "mode %s\nlogit", names[mode]);
	for (int row = 0; row < net->spec->n_rows; row++)
		fprintf(to, " %.9g", logit_of(net, mode, row));
	fprintf(to, "\nloss %.9g\n", loss_of(net, mode));
	for (int i = 0; i < net->n_tensors; i++)
		write_gradient(to, net, mode, &net->tensors[i]);
}

bool
naive_write_golden(const naive_spec *spec, const char *path)
{
	static naive net;
	FILE	   *to = fopen(path, "w");

	if (to == NULL)
		return false;
	create(&net, spec);
	write_head(to, &net);
	for (int i = 0; i < net.n_tensors; i++)
		write_tensor(to, "tensor", &net.tensors[i], net.tensors[i].x);
	for (naive_mode mode = BACKBONE; mode < N_NAIVE_MODES; mode++)
		write_mode(to, &net, mode);
	fputs("end\n", to);
	for (int i = 0; i < net.n_tensors; i++)
		free(net.tensors[i].x);
	return fclose(to) == 0;
}
