#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Points Defender at a share with unpacked security intelligence, or fills that share.
.DESCRIPTION
On the image: sets SharedSignaturesPath. On the machine that holds the share, with
-InstallUnpackTask: installs the task "Security intelligence unpacker", which downloads and
unpacks Microsoft's package every 8 hours and keeps the newest three.
The desktops' computer accounts need Read on the share and on its files.
Microsoft's pages disagree on whether a shared path and SignatureFallbackOrder work together: the
page of the cmdlet for Windows Server 2025 says that the path turns the order off, and the page for
2022 says that the order must contain FileShares.
Source: https://learn.microsoft.com/en-us/defender-endpoint/deployment-vdi-microsoft-defender-antivirus
.PARAMETER Share
The share, such as \\server\share\wdav-update.
.PARAMETER InstallUnpackTask
Install the task on this machine instead of setting the path.
.PARAMETER UnpackFolder
With -InstallUnpackTask: the local folder that is shared.
.PARAMETER RunCacheMaintenance
Also run "Windows Defender Cache Maintenance" and wait until it ends. Use this on a golden image.
.EXAMPLE
.\security-intelligence.ps1 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [string] $Share = {{share}},
    [switch] $InstallUnpackTask,
    [string] $UnpackFolder = "$env:SystemDrive\wdav-update",
    [switch] $RunCacheMaintenance
)

$ErrorActionPreference = 'Stop'
if ([Environment]::Is64BitOperatingSystem -and -not [Environment]::Is64BitProcess) {
    throw 'Run this script in 64-bit Windows PowerShell. The 32-bit version reads a different registry and different folders.'
}

# The script that the task runs. {folder} stands for the quoted folder.
$unpack = @'
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$folder = {folder}
$name = '{00000000-0000-0000-0000-' + (Get-Date).ToUniversalTime().ToString('yyMMddHHmmss') + '}'
# Only SYSTEM and administrators may write here, so that no one can replace the package after the check.
& icacls.exe $folder /inheritance:r /grant:r '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' '*S-1-5-11:(OI)(CI)RX' | Out-Null
if ($LASTEXITCODE -ne 0) { throw "The permissions of $folder cannot be set: icacls ended with $LASTEXITCODE" }
$working = Join-Path $folder ('unpacking-' + [guid]::NewGuid())
$null = New-Item -ItemType Directory -Path $working -Force
try {
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor 3072
    $package = Join-Path $working 'mpam-fe.exe'
    Invoke-WebRequest -UseBasicParsing -Uri 'https://go.microsoft.com/fwlink/?LinkID=121721&arch=x64' -OutFile $package
    $signature = Get-AuthenticodeSignature -LiteralPath $package
    if ($signature.Status -ne 'Valid' -or $signature.SignerCertificate.Subject -notmatch 'O=Microsoft Corporation') {
        throw "The package is not signed by Microsoft: $($signature.Status)"
    }
    $run = Start-Process -FilePath $package -WorkingDirectory $working -ArgumentList '/x' -Wait -PassThru
    if ($run.ExitCode -ne 0) { throw "Unpacking ended with $($run.ExitCode)" }
    # The folder is renamed when it is complete, so that no desktop uses an incomplete package.
    Rename-Item -LiteralPath $working -NewName $name
} catch {
    Remove-Item -LiteralPath $working -Recurse -Force -ErrorAction SilentlyContinue
    throw
}
$packages = @(Get-ChildItem -LiteralPath $folder -Directory | Where-Object { $_.Name -match '^\{00000000-0000-0000-0000-\d{12}\}$' } | Sort-Object Name -Descending)
if ($packages.Count -gt 3) { $packages[3..($packages.Count - 1)] | Remove-Item -Recurse -Force }
'@

function Install-Task {
    $task = 'Security intelligence unpacker'
    $folder = "'" + ($UnpackFolder -replace "['\u2018\u2019\u201a\u201b]", '$0$0') + "'"
    $text = $unpack.Replace('{folder}', $folder)
    $place = "$env:ProgramFiles\Defender Functions"
    $file = "$place\vdmdlunpack.ps1"
    $present = ''
    if (Test-Path -LiteralPath $file) { $present = [IO.File]::ReadAllText($file) }
    if ($present -cne $text -and $PSCmdlet.ShouldProcess($file, 'Write the unpacking script')) {
        if (-not (Test-Path -LiteralPath $place)) { $null = New-Item -ItemType Directory -Path $place -Force }
        [IO.File]::WriteAllText($file, $text, [Text.Encoding]::Unicode)
    }
    if (-not (Test-Path -LiteralPath $UnpackFolder) -and $PSCmdlet.ShouldProcess($UnpackFolder, 'Create the folder')) {
        $null = New-Item -ItemType Directory -Path $UnpackFolder -Force
    }
    $arguments = "-NoProfile -NonInteractive -ExecutionPolicy Bypass -File `"$file`""
    $known = @(Get-ScheduledTask -TaskName $task -ErrorAction SilentlyContinue)
    if ($known.Count -gt 0 -and @($known[0].Actions)[0].Arguments -eq $arguments) {
        Write-Output "The task `"$task`" is already installed."
    } elseif ($PSCmdlet.ShouldProcess($task, 'Register the task, every 8 hours, as SYSTEM')) {
        $action = New-ScheduledTaskAction -Execute "$env:windir\System32\WindowsPowerShell\v1.0\powershell.exe" -Argument $arguments
        $triggers = @('01:00', '09:00', '17:00' | ForEach-Object { New-ScheduledTaskTrigger -Daily -At $_ })
        $account = New-ScheduledTaskPrincipal -UserId 'NT AUTHORITY\SYSTEM' -LogonType ServiceAccount -RunLevel Highest
        $null = Register-ScheduledTask -TaskName $task -Action $action -Trigger $triggers -Principal $account -Force
        Write-Output "The task `"$task`" is installed. Share $UnpackFolder with Read for the desktops' computer accounts."
    }
}

function Use-Share {
    if (-not $Share) { throw 'Specify the share: -Share \\server\share\wdav-update.' }
    if ($Share -notmatch '^\\\\[^\\]+\\[^\\]+') { throw "$Share is not a share. A share looks like \\server\share\wdav-update." }
    if ([string] (Get-MpPreference).SharedSignaturesPath -eq $Share) {
        Write-Output "Security intelligence already comes from $Share."
    } elseif ($PSCmdlet.ShouldProcess('Microsoft Defender Antivirus', "Set SharedSignaturesPath to $Share")) {
        Set-MpPreference -SharedSignaturesPath $Share
        Write-Output "Security intelligence now comes from $Share."
    }
}

if ($InstallUnpackTask) { Install-Task } else { Use-Share }
if ($RunCacheMaintenance -and $PSCmdlet.ShouldProcess('Windows Defender Cache Maintenance', 'Run the task and wait until it ends')) {
    $maintenance = @{ TaskPath = '\Microsoft\Windows\Windows Defender\'; TaskName = 'Windows Defender Cache Maintenance' }
    Start-ScheduledTask @maintenance
    do { Start-Sleep -Seconds 5 } while ([string] (Get-ScheduledTask @maintenance).State -eq 'Running')
    $result = (Get-ScheduledTaskInfo @maintenance).LastTaskResult
    if ($result -ne 0) { throw "Cache maintenance ended with $result." }
}
