<?php
// /v1: has two people joined, is told of the end by a signed webhook, and reads the call back.
//
//     MERCHANT_API_KEY=tk_... MERCHANT_A=13800138000 MERCHANT_B=13900139000 \
//     MERCHANT_HOOK=http://your-host:8000/hook php call.php
//
// The key needs the scopes calls:read, calls:write, webhooks:write and balance:read.
// PHP 7.4 or later with curl. Exit status 0: the end was told, and the switch says the same when asked.
// On the command line it asks, and has PHP's own web server run this file to take what is pushed.
// Under a web server it takes events: point a webhook at it.

define('SWITCH_URL', getenv('MERCHANT_URL') ?: 'http://127.0.0.1:8080');
define('API_KEY', getenv('MERCHANT_API_KEY') ?: 'tk_your-key');
// Who is rung first, and who then.
define('A', getenv('MERCHANT_A') ?: '13800138000');
define('B', getenv('MERCHANT_B') ?: '13900139000');
define('LISTEN', getenv('MERCHANT_LISTEN') ?: '0.0.0.0:8000');
// How the switch reaches LISTEN.
define('HOOK', getenv('MERCHANT_HOOK') ?: 'http://127.0.0.1:8000/hook');
const PATIENCE_S = 600;
// Events that are older, or of the future, are somebody else's.
const SKEW_S = 300;

/** Ends the program with the reason. */
function stop(string $why): void
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

/** One request; the answer. */
function ask(string $method, string $path, ?array $body = null, ?string $key = null): ?array
{
    $headers = ['Authorization: Bearer ' . API_KEY];
    $curl = curl_init(SWITCH_URL . $path);
    if ($body !== null) {
        $headers[] = 'Content-Type: application/json';
        curl_setopt($curl, CURLOPT_POSTFIELDS, json_encode($body));
    }
    if ($key !== null) {
        $headers[] = "Idempotency-Key: $key";
    }
    curl_setopt_array($curl, [
        CURLOPT_CUSTOMREQUEST => $method,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 15,
        CURLOPT_HTTPHEADER => $headers,
    ]);
    $text = curl_exec($curl);
    if ($text === false) {
        stop('not reached: ' . curl_error($curl));
    }
    $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
    $answer = json_decode($text, true);
    if ($status >= 300) {
        stop("refused: $status " . ($answer['code'] ?? '') . ': ' . ($answer['detail'] ?? $text));
    }
    return $answer;
}

/**
 * Where the secret and what was told are kept: a database, in a shop of your own. Here a folder that nobody else may
 * look into: MERCHANT_FOLDER, where a web server runs this file.
 */
function kept(string $name): string
{
    return getenv('MERCHANT_FOLDER') . '/' . md5($name);
}

/** Makes that folder, under a name that nobody guesses; it goes with the program. */
function keep(): void
{
    umask(0077);
    $folder = sys_get_temp_dir() . '/merchant-v1-' . bin2hex(random_bytes(16));
    if (!mkdir($folder, 0700)) {
        stop("cannot make $folder");
    }
    putenv("MERCHANT_FOLDER=$folder");
    register_shutdown_function(function () use ($folder) {
        array_map('unlink', glob("$folder/*"));
        rmdir($folder);
    });
}

/** Whether one of the signatures is that of this body (Standard Webhooks). */
function is_ours(string $body): bool
{
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $stamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    $secret = getenv('MERCHANT_FOLDER') ? @file_get_contents(kept('secret')) : false;
    if (!ctype_digit($stamp) || abs(time() - (int) $stamp) > SKEW_S || !$secret) {
        return false;
    }
    $want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$stamp.$body", base64_decode($secret), true));
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $given) {
        if (hash_equals($want, $given)) {
            return true;
        }
    }
    return false;
}

/** Where events arrive. 2xx: taken; anything else: it comes again later. */
function receive(): void
{
    $body = file_get_contents('php://input');
    if (!is_ours($body)) {
        file_put_contents('php://stderr', "ignored: an event that is not signed\n");
        http_response_code(401);
        return;
    }
    $event = json_decode($body, true);
    if ($event['type'] === 'call.ended') {
        // Written whole before it has its name: whoever waits for it never reads a half.
        $file = kept($event['call']);
        file_put_contents("$file.new", json_encode($event['data']));
        rename("$file.new", $file);
    }
    http_response_code(204);
}

function main(): void
{
    keep();
    $nobody = [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], STDERR];
    $server = proc_open([PHP_BINARY, '-q', '-S', LISTEN, __FILE__], $nobody, $pipes);
    register_shutdown_function(function () use ($server) {
        proc_terminate($server);
    });
    // In a shop of your own this is done once.
    $hook = ask('POST', '/v1/webhooks', ['url' => HOOK, 'events' => ['call.ended']]);
    file_put_contents(kept('secret'), substr($hook['secret'], strlen('whsec_')));

    // With the same key the request may be sent again as often as it takes: nobody is rung twice.
    $wanted = ['to' => ['number' => A], 'connect' => ['number' => B], 'reference' => 'from PHP'];
    $call = ask('POST', '/v1/calls', $wanted, bin2hex(random_bytes(16)))['id'];
    echo "asked: $call\n";

    $deadline = time() + PATIENCE_S;
    while (!is_file(kept($call))) {
        if (time() >= $deadline) {
            stop('no event came: can the switch reach MERCHANT_HOOK?');
        }
        usleep(100000);
        clearstatcache();
    }
    $ended = json_decode(file_get_contents(kept($call)), true);
    unlink(kept($call));
    echo "ended: {$ended['outcome']}, {$ended['price_micros']} millionths\n";

    // What was missed can always be read.
    $found = ask('GET', "/v1/calls/$call");
    if ($found['outcome'] !== $ended['outcome'] || $found['price_micros'] !== $ended['price_micros']) {
        stop('what was told is not what the switch has: ' . json_encode($found));
    }
    echo "checked: the switch says the same\n";
    ask('DELETE', "/v1/webhooks/{$hook['id']}");
    $balance = ask('GET', '/v1/balance');
    echo "balance: {$balance['available_micros']} millionths of {$balance['currency']}\n";
}

PHP_SAPI === 'cli' ? main() : receive();
