/* A profile as a picture: a tile for each cell, the darker the more tokens per second. */
#include <math.h>

#include "commands.h"

#define TILE_W 92
#define TILE_H 52
#define LEFT   90
#define TOP    76

static double tokens_per_second(const struct slo_profile_doc *doc, size_t i)
{
	return doc->tputs[i] * (doc->output_axis[i / doc->cols] + doc->input_axis[i % doc->cols]);
}

static void put_text(FILE *out, double x, double y, const char *style, const char *text)
{
	fprintf(out, "<text x=\"%g\" y=\"%g\" %s>", x, y, style);
	for (; *text; text++) {
		if (*text == '<' || *text == '&')
			fputs(*text == '<' ? "&lt;" : "&amp;", out);
		else
			putc((unsigned char)*text < 0x20 ? ' ' : *text, out);
	}
	fputs("</text>\n", out);
}

static void put_tile(FILE *out, const struct slo_profile_doc *doc, size_t i, double most)
{
	size_t row = i / doc->cols, col = i % doc->cols;
	double x = LEFT + (double)col * TILE_W, y = TOP + (double)row * TILE_H;
	double share = most > 0 ? sqrt(tokens_per_second(doc, i) / most) : 0;
	const char *style = share > 0.6 ? "fill=\"#fff\"" : "fill=\"#222\"";
	double e2e = doc->e2e ? doc->e2e[i] : NAN;
	char text[96];

	fprintf(
	    out,
	    "<rect x=\"%g\" y=\"%g\" width=\"%d\" height=\"%d\" fill=\"rgb(%.0f,%.0f,%.0f)\"/>\n",
	    x, y, TILE_W - 2, TILE_H - 2, 240 - 210 * share, 244 - 160 * share, 248 - 100 * share);
	snprintf(text, sizeof(text), "%.3g/s", doc->tputs[i]);
	put_text(out, x + 6, y + 20, style, doc->tputs[i] > 0 ? text : "cannot");
	if (isfinite(e2e)) {
		snprintf(text, sizeof(text), "%.3g x %.3g s", doc->tputs[i] * e2e, e2e);
		put_text(out, x + 6, y + 38, style, text);
	}
}

static void put_axes(FILE *out, const struct slo_profile_doc *doc)
{
	char text[64];

	put_text(out, LEFT, TOP - 26, "fill=\"#555\"", "input tokens");
	put_text(out, 8, TOP - 6, "fill=\"#555\"", "output");
	for (size_t c = 0; c < doc->cols; c++) {
		snprintf(text, sizeof(text), "%.0f", doc->input_axis[c]);
		put_text(out, LEFT + (double)c * TILE_W + 6, TOP - 6, "fill=\"#222\"", text);
	}
	for (size_t r = 0; r < doc->rows; r++) {
		snprintf(text, sizeof(text), "%.0f", doc->output_axis[r]);
		put_text(out, 8, TOP + (double)r * TILE_H + 30, "fill=\"#222\"", text);
	}
}

void svg_write(FILE *out, const struct slo_profile_doc *doc)
{
	char targets[256], title[384];
	double most = 0;

	for (size_t i = 0; i < doc->rows * doc->cols; i++)
		most = fmax(most, tokens_per_second(doc, i));
	fprintf(out,
	        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%zu\" height=\"%zu\" "
	        "font-family=\"sans-serif\" font-size=\"12\">\n"
	        "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
	        LEFT + doc->cols * TILE_W + 10 + (doc->cols < 6 ? (6 - doc->cols) * TILE_W : 0),
	        TOP + doc->rows * TILE_H + 10);
	targets_text(doc, targets, sizeof(targets));
	snprintf(title, sizeof(title), "%s, target %s", doc->gpu[0] ? doc->gpu : "unknown GPU",
	         targets);
	put_text(out, 8, 18, "font-size=\"15\"", title);
	put_text(out, 8, 36, "fill=\"#555\"",
	         "requests/s of a server; requests at once x seconds end to end; darker: more "
	         "tokens/s");
	put_axes(out, doc);
	for (size_t i = 0; i < doc->rows * doc->cols; i++)
		put_tile(out, doc, i, most);
	fputs("</svg>\n", out);
}
