<?php
// System 002 as its manual shows it: an array of fields, which cURL sends as a form of parts, numbers as numbers; what
// comes back is dumped. Arguments: the switch, a token, the number, the sound, the menu, the number that is shown.
[, $url, $token, $number, $sound, $menu, $shown] = $argv;
$fields = [
    'service' => 'App.Sip_Call.PlayVoice',
    'token' => $token,
    'voicetype' => 2,
    'destnumber' => $number,
    'voicefile' => $sound,
    'chengshudu' => 1,
    'userid' => $menu,
    'disnumber' => $shown,
    'customuuid' => $number,
];
$curl = curl_init();
curl_setopt($curl, CURLOPT_URL, $url);
curl_setopt($curl, CURLOPT_POST, 1);
curl_setopt($curl, CURLOPT_POSTFIELDS, $fields);
curl_setopt($curl, CURLOPT_RETURNTRANSFER, 1);
$response = curl_exec($curl);
$error = curl_error($curl);
var_dump($response);
if ($error !== '') {
    fwrite(STDERR, "$error\n");
    exit(1);
}
