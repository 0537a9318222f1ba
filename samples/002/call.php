<?php
// System 002: has a notice played to somebody, takes states and the record, and looks the record up.
//
//     MERCHANT_APPID=... MERCHANT_ACCESSKEY=... MERCHANT_NUMBER=13800138000 MERCHANT_VOICEFILE=welcome.wav \
//     php call.php
//
// The company's callback addresses at the switch have to lead to MERCHANT_LISTEN of this machine.
// PHP 7.4 or later with curl. Exit status 0: the record came, and the switch says the same when asked.
// On the command line it asks, and has PHP's own web server run this file to take what is pushed.
// Under a web server it takes pushes: point the company's callback addresses at it.

define('SWITCH_URL', getenv('MERCHANT_URL') ?: 'http://127.0.0.1:8080');
define('APPID', getenv('MERCHANT_APPID') ?: 'your-appid');
define('ACCESSKEY', getenv('MERCHANT_ACCESSKEY') ?: 'your-accesskey');
// Who is rung, what he hears, and where his keys lead: "1@extGroup-1", or nothing.
define('NUMBER', getenv('MERCHANT_NUMBER') ?: '13800138000');
define('VOICEFILE', getenv('MERCHANT_VOICEFILE') ?: 'welcome.wav');
define('MENU', getenv('MERCHANT_MENU') ?: '');
define('LISTEN', getenv('MERCHANT_LISTEN') ?: '0.0.0.0:8000');
const PATIENCE_S = 600;

/** Ends the program with the reason. */
function stop(string $why): void
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

/** One request, as a form of parts; what came of it. */
function ask(string $service, array $fields): array
{
    $curl = curl_init(SWITCH_URL . '/');
    curl_setopt_array($curl, [
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 15,
        CURLOPT_POST => 1,
        CURLOPT_POSTFIELDS => ['service' => $service] + $fields,
    ]);
    $text = curl_exec($curl);
    if ($text === false) {
        stop('not reached: ' . curl_error($curl));
    }
    $answer = json_decode($text, true);
    // 600: the token has expired; log in again and ask once more.
    if (!is_array($answer) || $answer['ret'] !== 200) {
        stop(is_array($answer) ? "refused: {$answer['ret']} {$answer['msg']}" : "refused: $text");
    }
    $data = $answer['data'];
    if ($data['status'] !== 0) {
        stop("refused: {$data['errors']['code']} {$data['errors']['codemsg']}");
    }
    return $data['result'] ?? [];
}

/** Where a record is kept until somebody asks for it: a database, in a shop of your own. */
function kept(string $call): string
{
    return sys_get_temp_dir() . '/merchant-002-' . md5($call) . '.json';
}

/** Where states and records arrive, each as a POST. Anything but 0 and fail: taken; else it comes again. */
function receive(): void
{
    $push = json_decode(file_get_contents('php://input'), true);
    if (isset($push['hangupcause']) && is_string($push['uuid'] ?? null)) {
        // Written whole, then named: nobody reads half of it.
        $file = kept($push['uuid']);
        file_put_contents("$file.new", json_encode($push), LOCK_EX);
        rename("$file.new", $file);
        echo '1';
    } elseif (isset($push['extnumber'], $push['status'])) {
        file_put_contents('php://stderr', "state: {$push['extnumber']} {$push['status']}\n");
        echo '1';
    } else {
        echo '0';
    }
}

function main(): void
{
    $nobody = [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], STDERR];
    $server = proc_open([PHP_BINARY, '-q', '-S', LISTEN, __FILE__], $nobody, $pipes);
    register_shutdown_function(function () use ($server) {
        proc_terminate($server);
    });

    // Good for twelve hours: keep it, and log in again when an answer says 600.
    $token = ask('App.Sip_Auth.Login', ['appid' => APPID, 'accesskey' => ACCESSKEY])['token'];
    $name = bin2hex(random_bytes(16));
    $call = ask('App.Sip_Call.PlayVoice', [
        'token' => $token,
        'destnumber' => NUMBER,
        'voicetype' => 1,
        'voicefile' => VOICEFILE,
        'chengshudu' => 1,
        'userid' => MENU,
        'customuuid' => $name,
    ])['uuid'];
    echo "asked: $call\n";

    $deadline = time() + PATIENCE_S;
    while (!is_file(kept($call))) {
        if (time() > $deadline) {
            stop("no record came: can the switch reach the company's callback address?");
        }
        usleep(100000);
        clearstatcache();
    }
    $cdr = json_decode(file_get_contents(kept($call)), true);
    unlink(kept($call));
    $key = ($cdr['userkey'] ?? '') ?: '-';
    echo "record: {$cdr['hangupcause']} by {$cdr['hangupdirection']}, {$cdr['billsec']} s talked, key $key\n";

    // A push bears no signature, anybody could have sent it: what counts is what the switch says when asked.
    $beijing = 8 * 3600;
    $bills = ask('App.Sip_Cdr.GetBill', [
        'token' => $token,
        'starttime' => gmdate('Y-m-d H:i:s', time() + $beijing - 3600),
        'endtime' => gmdate('Y-m-d H:i:s', time() + $beijing + 3600),
        'syncflag' => 3,
        'callmethod' => 0,
        'customuuid' => $name,
    ])['bills'];
    foreach (['uuid', 'destnumber', 'hangupcause', 'hangupdirection', 'billsec'] as $field) {
        if (count($bills) !== 1 || $bills[0][$field] !== ($cdr[$field] ?? null)) {
            stop("the pushed record is not what the switch has: $field");
        }
    }
    echo "checked: the switch has the same record\n";
}

PHP_SAPI === 'cli' ? main() : receive();
