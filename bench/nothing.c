/*
 * A filter that does nothing: the yardstick of what the milter protocol and libmilter themselves cost.
 *
 * It negotiates what spfmilter negotiates (the same steps, actions and lists of macros), has the same callbacks (connect,
 * helo, envfrom, header, eom, abort, close), and carries on at each of them. It adds no field and writes no log.
 *
 * As "plain" it is what libmilter's documentation teaches: a callback for every step, and no negotiation, so that the MTA
 * sends everything and waits for the answer to each step. Most C filters are such.
 *
 * Usage: nothing SOCKET [plain], where SOCKET is as libmilter takes it (unix:/path, inet:port@host).
 */
#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <stdio.h>

#define STEPS                                                                                                  \
	(SMFIP_NORCPT | SMFIP_NODATA | SMFIP_NOEOH | SMFIP_NOBODY | SMFIP_NOUNKNOWN | SMFIP_NR_CONN |             \
	 SMFIP_NR_HELO | SMFIP_NR_HDR)
#define ACTIONS (SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_QUARANTINE | SMFIF_SETSYMLIST)

static sfsistat negotiate(SMFICTX *context, unsigned long actions, unsigned long steps, unsigned long unused2,
                          unsigned long unused3, unsigned long *wanted_actions, unsigned long *wanted_steps,
                          unsigned long *wanted2, unsigned long *wanted3)
{
	(void)unused2;
	(void)unused3;
	*wanted_actions = actions & ACTIONS;
	*wanted_steps = steps & STEPS;
	*wanted2 = *wanted3 = 0;
	if (actions & SMFIF_SETSYMLIST) {
		smfi_setsymlist(context, SMFIM_CONNECT, "j {client_addr}");
		smfi_setsymlist(context, SMFIM_ENVFROM, "i {auth_authen}");
		smfi_setsymlist(context, SMFIM_EOM, "i");
	}
	return SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *context, char *name, _SOCK_ADDR *address)
{
	(void)context;
	(void)name;
	(void)address;
	return SMFIS_NOREPLY;
}

static sfsistat on_helo(SMFICTX *context, char *name)
{
	(void)context;
	(void)name;
	return SMFIS_NOREPLY;
}

static sfsistat on_mail(SMFICTX *context, char **arguments)
{
	(void)context;
	(void)arguments;
	return SMFIS_CONTINUE;
}

static sfsistat on_header(SMFICTX *context, char *name, char *value)
{
	(void)context;
	(void)name;
	(void)value;
	return SMFIS_NOREPLY;
}

static sfsistat on_end(SMFICTX *context)
{
	(void)context;
	return SMFIS_CONTINUE;
}

static sfsistat on_plain_connect(SMFICTX *context, char *name, _SOCK_ADDR *address)
{
	on_connect(context, name, address);
	return SMFIS_CONTINUE;
}

static sfsistat on_word(SMFICTX *context, char *word)
{
	(void)word;
	return on_end(context);
}

static sfsistat on_unknown(SMFICTX *context, const char *command)
{
	(void)command;
	return on_end(context);
}

static sfsistat on_plain_header(SMFICTX *context, char *name, char *value)
{
	on_header(context, name, value);
	return SMFIS_CONTINUE;
}

static sfsistat on_body(SMFICTX *context, unsigned char *piece, size_t length)
{
	(void)piece;
	(void)length;
	return on_end(context);
}

int main(int count, char **arguments)
{
	struct smfiDesc filter = {
		.xxfi_name = "nothing",
		.xxfi_version = SMFI_VERSION,
		.xxfi_flags = ACTIONS,
		.xxfi_connect = on_connect,
		.xxfi_helo = on_helo,
		.xxfi_envfrom = on_mail,
		.xxfi_header = on_header,
		.xxfi_eom = on_end,
		.xxfi_abort = on_end,
		.xxfi_close = on_end,
		.xxfi_negotiate = negotiate,
	};

	if (count < 2 || count > 3) {
		fprintf(stderr, "usage: nothing SOCKET [plain]\n");
		return 64;
	}
	if (count == 3) {
		filter.xxfi_negotiate = NULL;
		filter.xxfi_connect = on_plain_connect;
		filter.xxfi_helo = on_word;
		filter.xxfi_envrcpt = on_mail;
		filter.xxfi_data = filter.xxfi_eoh = on_end;
		filter.xxfi_header = on_plain_header;
		filter.xxfi_body = on_body;
		filter.xxfi_unknown = on_unknown;
	}
	if (smfi_setconn(arguments[1]) == MI_FAILURE || smfi_register(filter) == MI_FAILURE ||
	    smfi_setbacklog(512) == MI_FAILURE) {
		fprintf(stderr, "nothing: libmilter refuses %s\n", arguments[1]);
		return 70;
	}
	return smfi_main() == MI_SUCCESS ? 0 : 70;
}
